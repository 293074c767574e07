'use strict';
(() => {
  const said = document.getElementById('said');
  let silence;

  function say(text) {
    // Emptied first: the same words a second time would not be read out.
    said.textContent = '';
    clearTimeout(silence);
    requestAnimationFrame(() => {
      said.textContent = text;
      silence = setTimeout(() => { said.textContent = ''; }, 4000);
    });
  }

  async function copy(pre, what) {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      say(`Copied: ${what}`);
    } catch {
      // A browser or its owner may refuse: then the lines are at least selected.
      getSelection().selectAllChildren(pre);
      say('Selected: copy with Ctrl+C or ⌘C');
    }
  }

  for (const block of document.querySelectorAll('.block')) {
    const pre = block.querySelector('pre');
    const heading = block.querySelector('h3');
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Copy';
    button.setAttribute('aria-label', `Copy: ${heading.textContent}`);
    button.addEventListener('click', () => copy(pre, heading.textContent));
    heading.parentElement.append(button);
  }

  const number = new Intl.NumberFormat('en');

  function bytes(count) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
    let unit = 0;
    while (count >= 999.95 && unit < units.length - 1) {
      count /= 1000;
      unit += 1;
    }
    return `${unit === 0 ? count : count.toFixed(1)} ${units[unit]}`;
  }

  function show(id, value, text) {
    const element = document.getElementById(id);
    if (element && Number.isFinite(value)) {
      element.value = String(value);
      element.textContent = text(value);
    }
  }

  async function count() {
    try {
      const answer = await fetch('status.json');
      if (!answer.ok) {
        return;
      }
      const status = await answer.json();
      if (status?.version !== 1) {
        return;
      }
      show('published', status.published?.total, number.format);
      show('recent', status.published?.last30Days, number.format);
      show('stored', status.stored?.bytes, bytes);
      const time = document.getElementById('updated');
      const moment = new Date(status.updatedAt);
      time.dateTime = status.updatedAt;
      time.textContent = moment.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
    } catch {
      // Away, or asleep: the counts that are there stay, and so does their time.
    }
  }

  count();
  setInterval(() => { if (!document.hidden) { count(); } }, 60000);
})();
