{
  description = "Assay, a serverless Nix binary cache for builders that nobody has to trust: the builder's side";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forAll =
        systems: make:
        lib.genAttrs systems (system: make (import nixpkgs {
          inherit system;
          overlays = [ self.overlays.default ];
        }));
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      darwin = [ "aarch64-darwin" ];
    in
    {
      overlays.default = final: _: { assay = final.callPackage ./nix/package.nix { }; };

      packages = forAll (linux ++ darwin) (pkgs: {
        inherit (pkgs) assay;
        default = pkgs.assay;
      });

      nixosModules.default = ./nix/module.nix;

      # Virtual machines: `nix flake check` needs KVM.
      checks = forAll linux (pkgs: {
        inherit (pkgs) assay;
        vm = pkgs.callPackage ./nix/vm-test.nix { };
      });
    };
}
