namespace Sdac.Experiments

open System
open System.Security.Cryptography
open System.Text
open System.Text.RegularExpressions
open Sdac.Functional

/// The names of run folders that nobody has named.
[<RequireQualifiedAccess>]
module RunName =
    /// Characters that tell what was changed: file systems take 255 bytes of a name.
    [<Literal>]
    let private LongestChanges = 120

    /// A value as a part of a folder's name: [256,256] becomes 256-256.
    let private plain (value: string) = Regex.Replace(value, @"[^A-Za-z0-9.+=_-]+", "-").Trim('-')

    /// "-particles=4-iterations=200"; what is long is cut, and a checksum keeps it apart.
    let private changes (start: Spec) (spec: Spec) : string =
        let whole =
            String.concat "" [ for name, value in SpecCheck.changes start spec -> $"-{plain name}={plain value}" ]

        if whole.Length <= LongestChanges then
            whole
        else
            let sum = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes whole))
            $"{whole[.. LongestChanges - 10].TrimEnd('-')}-{sum[..7]}"

    /// TASK-PRESET[-ALGORITHM][-SETTING=VALUE...][-from]-seedSEED: the algorithm where it was chosen, and the settings that are not the
    /// preset's.
    let create (registry: Registry) (preset: string) (algorithm: string option) (spec: Spec) : string =
        let start = Spec.algorithm registry "--algorithm" spec.Algorithm |> Spec.preset "--preset" preset

        String.concat
            ""
            [ $"{plain spec.Task}-{preset}"
              yield! algorithm |> Option.map (fun name -> $"-{name}") |> Option.toList
              changes start spec
              if spec.From.IsSome then
                  "-from"
              $"-seed{spec.Seed}" ]
