# The builder's side: `assay`. What it needs is in pyproject.toml; the service is deployed by the CDK, from a clone.
{
  lib,
  python3Packages,
}:
python3Packages.buildPythonApplication {
  pname = "assay";
  version = builtins.head (builtins.match ".*\nVERSION[^\n\"]*\"([^\"]+)\".*" (builtins.readFile ../protocol/version.py));
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../LICENSE
      ../hook
      ../nixcache
      ../protocol
      ../pyproject.toml
    ];
  };

  build-system = [ python3Packages.setuptools ];
  dependencies = [
    python3Packages.boto3
  ]
  ++ lib.optional (python3Packages.pythonOlder "3.14") python3Packages.backports-zstd;

  # Its tests need a network of their own (moto) and Nix itself: the flake's check is the machine of vm-test.nix.
  doCheck = false;
  pythonImportsCheck = [ "hook.cli" ];

  meta = {
    description = "Serverless Nix binary cache for builders that nobody has to trust: the builder's side";
    license = lib.licenses.mit;
    mainProgram = "assay";
    platforms = lib.platforms.unix;
  };
}
