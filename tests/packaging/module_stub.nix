# As much of the NixOS module system as nix/module.nix uses, and no more: types that check, options without a default
# that have to be set, submodules. Evaluates the module over `settings`, and returns what it sets.
{ settings }:
let
  type = name: check: { inherit name check; read = _: value: value; };
  lib = {
    mkOption = option: { isOption = true; } // option;
    mkEnableOption = description: {
      isOption = true;
      default = false;
      type = lib.types.bool;
      inherit description;
    };
    mkIf = condition: content: { inherit condition content; };
    literalExpression = text: text;
    getExe = package: "${package.outPath}/bin/${package.mainProgram}";
    optional = condition: value: if condition then [ value ] else [ ];
    types = {
      bool = type "boolean" builtins.isBool;
      str = type "string" builtins.isString;
      path = type "path" (value: builtins.isString value && builtins.substring 0 1 value == "/");
      package = type "package" builtins.isAttrs;
      nullOr = inner: type "null or ${inner.name}" (value: value == null || inner.check value);
      listOf = inner: type "list of ${inner.name}" (value: builtins.isList value && builtins.all inner.check value);
      submodule = module: {
        name = "submodule";
        check = builtins.isAttrs;
        read = place: value: value // readOptions place module.options value;
      };
    };
  };

  readOptions =
    place: options: values:
    builtins.mapAttrs (
      name: option:
      let
        where = "${place}.${name}";
        value =
          values.${name} or (
            if option ? default then
              option.default
            else if option.type.name == "submodule" then
              { }
            else
              throw "The option `${where}' is used but not defined."
          );
      in
      if !(option.isOption or false) then
        throw "${where} is no option"
      else if !option.type.check value then
        throw "A definition for option `${where}' is not of type `${option.type.name}'."
      else
        option.type.read where value
    ) options;

  pkgs = {
    formats.toml = _: {
      type = null;
      generate = name: value: "/nix/store/generated-${name}?${builtins.toJSON value}";
    };
    callPackage = _: _: {
      outPath = "/nix/store/package-assay";
      mainProgram = "assay";
    };
    runCommand = name: environment: script: "/nix/store/made-${name}?${builtins.toJSON { inherit environment script; }}";
  };

  module = import ../../nix/module.nix { inherit config lib pkgs; };
  config = module.config.content // {
    nix = {
      enable = true;
      package = "/nix/store/package-nix";
      inherit (module.config.content.nix) settings;
    };
    services.assay = readOptions "services.assay" module.options.services.assay settings;
  };
in
if module.config.condition then { inherit (config) assertions nix environment systemd services; } else { }
