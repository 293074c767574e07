# A NixOS machine builds, uploads and reads back through the whole service, which runs on it with an emulated AWS. The
# one machine is builder, service and reader, because the service's addresses are loopback's.
{
  lib,
  python3,
  testers,
}:
let
  # What `python -m local up` imports; requirements-dev.txt has the versions that the project's own tests run with.
  servicePython = python3.withPackages (
    packages:
    with packages;
    [
      aws-lambda-powertools
      boto3
      brotli
      moto
      pynacl
    ]
    ++ moto.optional-dependencies.server
    ++ lib.optional (pythonOlder "3.14") backports-zstd
  );

  source = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../hook
      ../lambdas
      ../local
      ../nixcache
      ../protocol
    ];
  };

  closure = builtins.toFile "closure.nix" ''
    let
      make = name: more: derivation {
        inherit name;
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [ "-c" "echo ''${name} ''${more} > $out" ];
      };
    in
    make "app" (make "library" "")
  '';
in
testers.runNixOSTest {
  name = "assay";

  nodes.machine = {
    imports = [ ./module.nix ];

    nix.settings = {
      experimental-features = [ "nix-command" ];
      substituters = lib.mkForce [ ];
      sandbox = false;
    };

    services.assay = {
      enable = true;
      region = "us-east-1";
      # The service's addresses and this builder's key: each variable overrides the setting of its name.
      environmentFile = "/run/assay-local/builder.env";
      settings = {
        builder = "alice";
        staging_bucket = "assay-staging";
        ledger_bucket = "assay-ledger";
        cache_url = "http://127.0.0.1";
        upstreams = [ ];
      };
    };

    # Started by the test, once the service has written the file above.
    systemd.services.assay.wantedBy = lib.mkForce [ ];
    systemd.paths.assay.wantedBy = lib.mkForce [ ];
    systemd.sockets.assay.wantedBy = lib.mkForce [ ];

    systemd.services.assay-local = {
      wantedBy = [ "multi-user.target" ];
      environment.PYTHONPATH = "${source}";
      serviceConfig.RuntimeDirectory = "assay-local";
      script = "exec ${lib.getExe servicePython} -m local up --port 5555 > /run/assay-local/outputs.json";
    };
  };

  testScript = ''
    import json

    machine.wait_for_unit("multi-user.target")
    machine.wait_until_succeeds("grep -q cache_url /run/assay-local/outputs.json")
    outputs = json.loads(machine.succeed("cat /run/assay-local/outputs.json"))
    variables = {**outputs["builders"]["alice"], "ASSAY_CACHE_URL": outputs["cache_url"]}
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    machine.succeed(f"cat > /run/assay-local/builder.env <<'END'\n{lines}END")

    with subtest("The build is uploaded by the service that it starts, inside its sandbox"):
        machine.succeed("systemctl start assay.path assay.socket")
        built = machine.succeed("nix-build --no-out-link ${closure}").strip()
        machine.wait_for_unit("assay.service")
        assay = "set -a; . /run/assay-local/builder.env; assay"
        machine.succeed(f"{assay} wait {built} --timeout 120")

    with subtest("I4: an empty store that trusts Assay's key alone gets the closure"):
        key = outputs["public_key"]
        machine.succeed(
            f"nix copy --from {outputs['cache_url']} --to 'local?root=/tmp/reader' "
            f"--option trusted-public-keys {key} {built}"
        )
        machine.succeed(f"grep library /tmp/reader{built}")

    with subtest("I9: nothing is left over, and no root"):
        machine.wait_until_succeeds("test -z \"$(find /nix/var/nix/gcroots/assay -type l)\"")
        machine.succeed("systemctl stop assay.path assay.socket assay.service")
  '';
}
