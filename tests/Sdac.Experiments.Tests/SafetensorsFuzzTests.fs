/// Ten thousand safetensors files, most of them malformed, each beside a reading by the rules as they are written down
/// (the format section of the documentation of `safetensors`).
module Sdac.Experiments.Tests.SafetensorsFuzzTests

open System
open System.IO
open System.Numerics
open System.Security.Cryptography
open System.Text
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.Fuzzing

// ---- the rules, naively

let private sizes =
    Map
        [ "BOOL", 1
          "U8", 1
          "I8", 1
          "I16", 2
          "U16", 2
          "F16", 2
          "BF16", 2
          "I32", 4
          "U32", 4
          "F32", 4
          "I64", 8
          "U64", 8
          "F64", 8 ]

let private limit = BigInteger.Pow(2I, 63)

/// A number without sign, fraction or exponent, below 2^63.
let private count (value: Written) =
    match value with
    | Num digits when Seq.forall Char.IsAsciiDigit digits && BigInteger.Parse digits < limit ->
        Some(BigInteger.Parse digits)
    | _ -> None

let private counts (value: Written) =
    match value with
    | Arr items when items |> List.forall (count >> Option.isSome) -> Some(List.choose count items)
    | _ -> None

/// The product of the sizes and the element's, where no product on the way reaches 2^63.
let private bytesOf (dtype: string) (shape: BigInteger list) =
    let products = (shape @ [ BigInteger sizes[dtype] ]) |> List.scan (*) 1I

    if List.forall (fun product -> product < limit) products then
        Some(List.last products)
    else
        None

let private entry (name: string, value: Written) =
    match value with
    | Obj fields when fields |> List.map fst |> List.sort = [ "data_offsets"; "dtype"; "shape" ] ->
        let fields = Map fields

        match fields["dtype"], counts fields["shape"], counts fields["data_offsets"] with
        | Str dtype, Some shape, Some [ first; last ] when
            sizes.ContainsKey dtype && first <= last && bytesOf dtype shape = Some(last - first)
            ->
            Some(name, dtype, shape, first, last)
        | _ -> None
    | _ -> None

let private metadataOf (members: (string * Written) list) =
    match members |> List.filter (fun (name, _) -> name = "__metadata__") with
    | [] -> Some []
    | [ _, Obj pairs ] when pairs |> List.forall (fun (_, value) -> value.IsStr) ->
        Some
            [ for key, value in pairs ->
                  key,
                  (match value with
                   | Str text -> text
                   | _ -> "") ]
    | _ -> None

type private Content = { Metadata: Map<string, string>; Tensors: Map<string, string * BigInteger list * byte[]> }

let private contentOf (data: byte[]) (members: (string * Written) list) : Content option =
    let tensors = members |> List.filter (fun (name, _) -> name <> "__metadata__")
    let entries = List.choose entry tensors
    let ordered = entries |> List.sortBy (fun (_, _, _, first, last) -> first, last)
    let ends = ordered |> List.map (fun (_, _, _, _, last) -> last)
    let begins = ordered |> List.map (fun (_, _, _, first, _) -> first)

    match metadataOf members with
    | Some metadata when entries.Length = tensors.Length && begins @ [ BigInteger data.Length ] = 0I :: ends ->
        let tensor (name, dtype, shape, first: BigInteger, last: BigInteger) =
            name, (dtype, shape, data[int first .. int last - 1])

        Some { Metadata = Map metadata; Tensors = Map(List.map tensor ordered) }
    | _ -> None

let private headerOf (file: byte[]) =
    if file.Length < 8 then
        None
    else
        let length = BitConverter.ToUInt64(file, 0)

        if length > 100_000_000UL || length > uint64 (file.Length - 8) then
            None
        else
            Some(file[8 .. 7 + int length], file[8 + int length ..])

/// What a file holds by the format's rules; None where it breaks one.
let private contentOfFile (file: byte[]) : Content option =
    headerOf file
    |> Option.bind (fun (header, data) ->
        Naive.decode header
        |> Option.map (fun text -> text.TrimEnd ' ')
        |> Option.filter (fun text -> text.StartsWith '{' && text.EndsWith '}')
        |> Option.bind Naive.parse
        |> Option.filter (fun json -> not (Naive.repeats json))
        |> Option.bind (fun json ->
            match json with
            | Obj members -> contentOf data members
            | _ -> None))

/// Where a file carries a checksum as this program writes it: whether it is right.
let private checksum (file: byte[]) : bool option =
    let opening = "{\"__metadata__\":{\"sha256\":\""

    match headerOf file with
    | Some(header, _) ->
        let text = Encoding.Latin1.GetString header

        if text.StartsWith(opening, StringComparison.Ordinal) && text.Length > opening.Length + 64 then
            let digest = text.Substring(opening.Length, 64)

            if digest |> Seq.forall (fun c -> "0123456789abcdef".Contains c) && text[opening.Length + 64] = '"' then
                let zeroed = Array.copy file
                Array.fill zeroed (8 + opening.Length) 64 (byte '0')
                Some(digest = Convert.ToHexStringLower(SHA256.HashData zeroed))
            else
                None
        else
            None
    | None -> None

// ---- the files

let private names =
    [ "a"
      "b"
      "policy.layer0.weight"
      "λ/β"
      "\"quoted\""
      "back\\slash"
      "line\nbreak"
      "😀"
      ""
      "dtype"
      "sha256"
      String('n', 300) ]

let private dtypes = sizes |> Map.toList |> List.map fst

let private tensorsOf (chance: Chance) =
    let mutable offset = 0

    [ for name in chance.Shuffle names |> List.truncate (chance.Below 5) do
          let dtype = chance.One dtypes
          let shape = [ for _ in 1 .. chance.Below 4 -> chance.Below 4 ]
          let size = List.fold (*) sizes[dtype] shape
          let first = offset
          offset <- offset + size
          name, dtype, shape, first, offset ]

let private numbers (values: int list) = Arr [ for value in values -> Num(string value) ]

let private headerFor tensors metadata =
    Obj
        [ if metadata <> [] then
              "__metadata__", Obj [ for key, value in metadata -> key, Str value ]
          for name, dtype, shape, first, last in tensors do
              name, Obj [ "dtype", Str dtype; "shape", numbers shape; "data_offsets", numbers [ first; last ] ] ]

/// Values that stand where others belong.
let private wrong =
    [ Null
      Bool true
      Num "3"
      Num "-1"
      Num "4.0"
      Num "4e0"
      Num "-0"
      Num "99999999999999999999"
      Num "9223372036854775808"
      Str "4"
      Str ""
      Arr []
      Obj []
      Obj [ "0", Num "0"; "1", Num "4" ]
      Arr [ Arr [ Num "1" ] ] ]

/// Sizes whose products leave 64 bits, some of them back to a small number.
let private overflowing =
    [ [ "2305843009213693952" ]
      [ "4611686018427387905" ]
      [ "9223372036854775807"; "2" ]
      [ "4294967296"; "4294967296" ]
      [ "4294967296"; "4294967296"; "0" ]
      [ "0"; "4294967296"; "4294967296" ]
      [ "6442450944"; "2863311531" ]
      [ "18446744073709551617" ]
      [ "-1"; "-1" ]
      [ "-1" ] ]

let rec private replaceAt index (change: 'a -> 'a) items =
    List.mapi (fun i item -> if i = index then change item else item) items

/// Changes one tensor's entry, or the list of members.
let private changeMembers (chance: Chance) (members: (string * Written) list) =
    let at = chance.Below(max 1 members.Length)

    let onFields change =
        members
        |> replaceAt at (fun (name, value) ->
            match value with
            | Obj fields -> name, Obj(change fields)
            | other -> name, other)

    let field name change = onFields (List.map (fun (key, value) -> key, (if key = name then change value else value)))

    let offsets change =
        field "data_offsets" (fun value ->
            match value with
            | Arr [ Num first; Num last ] when first.Length < 9 && last.Length < 9 ->
                numbers (change (int first) (int last))
            | other -> other)

    match chance.Below 21 with
    | 0 when members <> [] -> members @ [ members[at] ]
    | 1 when members <> [] -> (fst members[at], snd (List.last members)) :: members
    | 2 -> onFields (fun fields -> fields @ List.truncate 1 (chance.Shuffle fields))
    | 3 -> onFields (fun fields -> fields @ [ chance.One [ "x"; "strides"; "" ], chance.One wrong ])
    | 4 -> onFields (fun fields -> chance.Shuffle fields |> List.truncate (max 0 (fields.Length - 1)))
    | 5 -> field (chance.One [ "dtype"; "shape"; "data_offsets" ]) (fun _ -> chance.One wrong)
    | 6 -> field "shape" (fun _ -> Arr [ for size in chance.One overflowing -> Num size ])
    | 7 -> field "dtype" (fun _ -> Str(chance.One("f32" :: "Q9" :: "F8_E4M3" :: "" :: dtypes)))
    | 8 -> offsets (fun first last -> [ last; first ])
    | 9 -> offsets (fun first last -> [ first + chance.Between(-4, 4); last + chance.Between(-4, 4) ])
    | 10 -> offsets (fun first last -> [ first; last ] @ chance.One [ []; [ last ] ])
    | 11 -> offsets (fun first last -> let by = chance.Between(-8, 8) in [ first + by; last + by ])
    | 12 -> chance.Shuffle members
    | 13 -> members |> replaceAt at (fun (name, _) -> name, chance.One wrong)
    | 14 -> ("__metadata__", chance.One(Obj [ "k", chance.One wrong ] :: wrong)) :: members
    | 15 -> ("__metadata__", Obj [ "k", Str "1"; "k", Str "2" ]) :: members
    | 16 ->
        ("__metadata__", Obj [ chance.One [ "sha256"; "k" ], Str(chance.One [ "abc"; String('a', 64) ]) ])
        :: members
    | 17 -> members |> List.filter (fun _ -> chance.Percent 70)
    | 18 -> onFields chance.Shuffle
    | 19 ->
        // 64 bits of the product are 0
        let shape =
            Arr [ for size in chance.One [ [ "2305843009213693952" ]; [ "4294967296"; "4294967296" ] ] -> Num size ]

        members @ [ "z", Obj [ "dtype", Str "F64"; "shape", shape; "data_offsets", numbers [ 0; 0 ] ] ]
    | _ ->
        members
        @ [ "z", Obj [ "dtype", Str "U8"; "shape", numbers [ 0; 3 ]; "data_offsets", numbers [ 0; 0 ] ] ]

/// Changes the header's characters.
let private changeText (chance: Chance) (text: string) =
    let at = chance.Below(text.Length + 1)

    match chance.Below 14 with
    | 0 -> " " + text
    | 1 -> text + String(' ', chance.Below 9)
    | 2 -> text + chance.One [ "\n"; "\t"; "\000"; "{}"; "x"; ","; "/**/"; "}" ]
    | 3 -> "\uFEFF" + text
    | 4 ->
        text.Insert(
            at,
            chance.One [ " "; "\n"; ","; "/*x*/"; "\""; "{"; "]"; "0"; "\\u0041"; "\\ud800"; "\000"; "NaN" ]
        )
    | 5 when at < text.Length -> text.Remove(at, 1)
    | 6 -> text.Replace("dtype", "\\u0064type")
    | 7 -> text.Replace("\"a\"", "\"\\u0061\"")
    | 8 -> text.Replace("[0,", chance.One [ "[0.0,"; "[00,"; "[0e0,"; "[-0,"; "[0x0,"; "[NaN,"; "[+0,"; "[ 0 ," ])
    | 9 -> text.Substring(0, at)
    | 10 -> text.Replace("}", chance.One [ ",}"; " }"; "}}" ])
    | 11 -> chance.One [ "[]"; "null"; "\"abc\""; "{}"; "3"; "" ]
    | 12 -> text.Replace(":{", ":" + String('[', chance.Between(60, 70)) + "{")
    | _ -> text

let private flip (chance: Chance) (bytes: byte[]) =
    if bytes.Length > 0 then
        let at = chance.Below bytes.Length
        bytes[at] <- bytes[at] ^^^ byte (1 <<< chance.Below 8)

    bytes

/// Changes the whole file's bytes.
let private changeFile (chance: Chance) (bytes: byte[]) =
    match chance.Below 8 with
    | 0 -> Array.append bytes (chance.Bytes(chance.Between(1, 9)))
    | 1 -> bytes[.. bytes.Length - 1 - chance.Between(1, 9)]
    | 2 -> bytes[.. chance.Below(max 1 bytes.Length) - 1]
    | 3 ->
        let length = chance.One [ 0UL; 1UL; 5000UL; 100_000_001UL; 1UL <<< 63; UInt64.MaxValue; 2UL ]
        Array.append (BitConverter.GetBytes length) (Array.skip (min 8 bytes.Length) bytes)
    | 4 -> flip chance bytes |> flip chance
    | 5 when bytes.Length > 9 ->
        bytes[8 + chance.Below(min 40 (bytes.Length - 8))] <- byte (chance.Between(128, 255))
        bytes
    | _ -> flip chance bytes

let private framed (header: string) (data: byte[]) =
    let header = Encoding.UTF8.GetBytes header
    Array.concat [ BitConverter.GetBytes(int64 header.Length); header; data ]

/// A file as another program writes it.
let private foreign (chance: Chance) =
    let tensors = tensorsOf chance
    let metadata = if chance.Percent 30 then [ "k", "v"; "λ", "" ] else []
    let length = tensors |> List.fold (fun _ (_, _, _, _, last) -> last) 0
    let mutable header = headerFor tensors metadata

    for _ in 1 .. chance.One [ 0; 1; 1; 1; 1; 2; 2; 3 ] do
        match header with
        | Obj members -> header <- Obj(changeMembers chance members)
        | _ -> ()

    let mutable text = Naive.print header

    if chance.Percent 40 then
        text <- changeText chance text

    framed text (chance.Bytes length)

/// A file as this program writes it.
let private own (chance: Chance) =
    use stream = new MemoryStream()

    [ for name, dtype, shape, first, last in tensorsOf chance do
          let dtype = Dtype.All |> List.find (fun known -> known.Name = dtype)
          Safetensors.ofBytes name dtype (List.map int64 shape) (ReadOnlyMemory(chance.Bytes(last - first))) ]
    |> Safetensors.writeTo stream (Map [ "k", "v" ])

    stream.ToArray()

let private fileOf (seed: int) =
    let chance = Chance seed
    let share, file = if chance.Percent 25 then 90, own chance else 25, foreign chance
    if chance.Percent share then changeFile chance file else file

// ---- the comparison

let private sameContent (content: Content) (file: TensorFile) =
    let tensor (t: TensorValue) = t.Dtype.Name, List.map (fun (size: int64) -> BigInteger size) t.Shape, t.Data
    file.Metadata = content.Metadata && Map.map (fun _ t -> tensor t) file.Tensors = content.Tensors

let private compare (what: string) (path: string) (expected: Content option) (found: Outcome<TensorFile>) =
    match expected, found with
    | Some content, Value file when sameContent content file -> None
    | Some _, Value _ -> Some $"{what}: other values than the file holds"
    | Some _, Refused sentence -> Some $"{what} refuses a valid file: {sentence}"
    | None, Value _ -> Some $"{what} takes a malformed file"
    | None, Refused sentence -> sentenceFault path sentence |> Option.map (fun fault -> $"{what}: {fault}")
    | _, Crashed error -> Some $"{what}: {error}"

let private attempt (path: string) (tally: int ref) (seed: int) =
    let file = fileOf seed
    overwrite path file
    let content, checksum = contentOfFile file, checksum file

    if content.IsNone || checksum = Some false then
        tally.Value <- tally.Value + 1

    let foreign = if checksum = Some false then None else content
    let own = if checksum = Some true then content else None

    compare "readForeign" path foreign (outcome (fun () -> Safetensors.readForeign path))
    |> Option.orElse (compare "read" path own (outcome (fun () -> Safetensors.read path)))
    |> Option.map (fun fault ->
        let shown = headerOf file |> Option.map (fst >> Encoding.Latin1.GetString) |> Option.defaultValue ""
        $"{fault}\n  {shown}")

[<Tests>]
let tests =
    testList
        "fuzzed safetensors"
        [ testCase
              "10,000 malformed files are refused in a sentence, and the valid ones among them are read rightly"
              (fun () ->
                  inFolder (fun folder ->
                      let malformed = ref 0
                      let path = Path.Combine(folder, "file.safetensors")
                      // about three in four are malformed
                      fuzz (seq { 1..14_000 }) (attempt path malformed)
                      Expect.isGreaterThanOrEqual malformed.Value 10_000 "malformed files")) ]
