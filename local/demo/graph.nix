# What the demo builds: offline, with /bin/sh and a few programs of `path` for a builder.
{ path, system ? builtins.currentSystem }:

let
  build = name: attributes: script: derivation ({
    inherit name system;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = path;
  } // attributes);
in
rec {
  # Content-addressed: its hash is known before it is built, and so is its store path.
  licence =
    let text = "Do with it what you like.\n";
    in build "licence.txt"
      {
        inherit text;
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = builtins.hashString "sha256" text;
      } ''printf %s "$text" > "$out"'';

  # Content-addressed too, and never built at all: the hook does not hear of it, only the closure has it.
  notice = builtins.toFile "notice.txt" "Everything here was checked before it was signed.\n";

  # One of more than 50 MB.
  numbers = build "numbers" { } ''
    mkdir "$out"
    seq 1 7500000 > "$out/numbers"
  '';

  # One of more than 2,000 files, with directories, symlinks and an executable.
  leaves = build "leaves" { } ''
    mkdir "$out"
    branch=0
    while [ "$branch" -lt 30 ]; do
      mkdir "$out/branch-$branch"
      leaf=0
      while [ "$leaf" -lt 70 ]; do
        printf 'leaf %s of branch %s\n' "$leaf" "$branch" > "$out/branch-$branch/leaf-$leaf"
        leaf=$((leaf + 1))
      done
      ln -s "leaf-0" "$out/branch-$branch/first"
      branch=$((branch + 1))
    done
    printf '#!/bin/sh\necho leaves\n' > "$out/executable"
    chmod +x "$out/executable"
  '';

  # Several outputs, of which one references another.
  tool = build "tool" { outputs = [ "out" "lib" "doc" ]; } ''
    mkdir "$lib" "$doc" "$out"
    echo 'greeting=hello' > "$lib/greeting.sh"
    echo 'Prints a greeting.' > "$doc/README"
    printf '#!/bin/sh\n. %s/greeting.sh\necho "$greeting from %s"\n' "$lib" "$out" > "$out/greet"
    chmod +x "$out/greet"
  '';

  # References all of them, and itself.
  app = build "app" { inherit licence notice numbers leaves; tool = tool.out; doc = tool.doc; } ''
    mkdir "$out"
    cat > "$out/app" <<END
    #!/bin/sh
    # $doc $out
    $tool/greet
    read -r first < $numbers/numbers && echo "first number: \$first"
    read -r leaf < $leaves/branch-29/leaf-69 && echo "last leaf: \$leaf"
    read -r text < $notice && echo "notice: \$text"
    read -r text < $licence && echo "licence: \$text"
    END
    chmod +x "$out/app"
  '';
}
