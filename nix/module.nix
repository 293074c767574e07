# services.assay: the hook in nix.conf, and the uploader beside the daemon. docs/how-to/nixos.md shows its use.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.assay;
  toml = pkgs.formats.toml { };
  stateDir = cfg.settings.state_dir;

  required = type: description: lib.mkOption { inherit type description; };

  # Written by the program itself, so that no second text of the script has to be kept in step with it.
  hook =
    pkgs.runCommand "assay-hook"
      {
        ASSAY_STATE_DIR = stateDir;
        ASSAY_NIX_BIN_DIR = "${config.nix.package}/bin";
      }
      ''
        ${lib.getExe cfg.package} hook-script > $out
        chmod +x $out
      '';
in
{
  options.services.assay = {
    enable = lib.mkEnableOption "uploading what Nix builds on this machine into an Assay cache";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package that provides `assay`.";
    };

    settings = lib.mkOption {
      description = "What stands in `/etc/assay/builder.toml`. It is readable by everybody: no secrets.";
      type = lib.types.submodule {
        freeformType = toml.type;
        options = {
          builder = required lib.types.str "This builder's name.";
          staging_bucket = required lib.types.str "The stack's output `StagingBucket`.";
          ledger_bucket = required lib.types.str "The stack's output `LedgerBucket`.";
          cache_url = required lib.types.str "Where readers find the cache.";
          upstreams = lib.mkOption {
            type = lib.types.listOf lib.types.str;
            default = [ "https://cache.nixos.org" ];
            description = "Caches whose paths need no upload: those that the service trusts.";
          };
          state_dir = lib.mkOption {
            type = lib.types.str;
            default = "/var/lib/assay";
            description = "Where the queue is. It is the hook's and the uploader's alone.";
          };
        };
      };
    };

    region = required lib.types.str "AWS region of the buckets.";

    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = "/run/secrets/assay.env";
      description = ''
        A file outside the Nix store with AWS's variables, one `NAME=value` a line; not needed where an instance profile
        gives the credentials.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.nix.enable;
        message = "services.assay uploads what this machine's Nix builds: nix.enable is needed.";
      }
    ];

    nix.settings.post-build-hook = "${hook}";
    environment.systemPackages = [ cfg.package ];
    environment.etc."assay/builder.toml".source = toml.generate "builder.toml" cfg.settings;

    # It has to be there before the uploader starts, or it could not be made writable for it.
    systemd.tmpfiles.rules = [ "d /nix/var/nix/gcroots/assay 0755 root root" ];

    systemd.services.assay = {
      description = "Uploads what Nix builds into an Assay cache";
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "nix-daemon.socket"
      ];
      wantedBy = [ "multi-user.target" ];
      path = [ config.nix.package ];
      restartTriggers = [ config.environment.etc."assay/builder.toml".source ];
      environment = {
        NIX_REMOTE = "daemon";
        AWS_REGION = cfg.region;
        AWS_CONFIG_FILE = "/etc/assay/aws-config";
        AWS_SHARED_CREDENTIALS_FILE = "/etc/assay/aws-credentials";
        HOME = "%C/assay";
      };
      # The same as packaging/systemd/assay.service, where the reasons stand; a test compares them.
      serviceConfig = {
        Type = "exec";
        ExecStart = "${lib.getExe cfg.package} daemon";
        EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
        Restart = "on-failure";
        RestartSec = 10;
        RestartPreventExitStatus = 2;
        KillMode = "mixed";
        TimeoutStopSec = 30;
        Nice = 10;
        IOSchedulingClass = "idle";
        CPUWeight = 20;
        MemoryHigh = "384M";
        MemoryMax = "512M";
        TasksMax = 256;
        OOMPolicy = "continue";
        OOMScoreAdjust = 500;
        User = "root";
        CapabilityBoundingSet = "";
        AmbientCapabilities = "";
        NoNewPrivileges = true;
        StateDirectory = "assay";
        CacheDirectory = "assay";
        CacheDirectoryMode = "0700";
        UMask = "0077";
        ProtectSystem = "strict";
        ReadWritePaths = [
          "-/nix/var/nix/gcroots/assay"
        ]
        ++ lib.optional (stateDir != "/var/lib/assay") stateDir;
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        PrivateIPC = true;
        PrivateMounts = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProcSubset = "pid";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
          "@chown"
        ];
      };
    };

    systemd.sockets.assay = {
      description = "Questions to Assay's uploader";
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        ListenStream = "${stateDir}/control.sock";
        SocketMode = "0666";
        DirectoryMode = "0755";
      };
    };

    systemd.paths.assay = {
      description = "Builds that wait for Assay's uploader";
      wantedBy = [ "paths.target" ];
      pathConfig = {
        PathChanged = "${stateDir}/spool/new";
        MakeDirectory = true;
        DirectoryMode = "0755";
      };
    };
  };
}
