// `node bytecode.mjs DIRECTORY`: compiles every module below DIRECTORY with the Python that Lambda runs (docs/adr/0068).
//
// Pyodide is CPython itself, built for WebAssembly. Bytecode depends on Python's version and on nothing of the machine.

import { loadPyodide } from "pyodide";

const python = await loadPyodide();
python.mountNodeFS("/bundle", process.argv[2]);
const failed = python.runPython(`
import compileall, py_compile, sys

assert sys.version_info[:2] == (3, 14), f"Lambda runs Python 3.14, and this is {sys.version}"
# Unchecked: Lambda mounts the code with other times than it had here, and never changes it.
not compileall.compile_dir(
    "/bundle", quiet=1, stripdir="/bundle", prependdir="/var/task",
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
)
`);
process.exit(failed ? 1 : 0);
