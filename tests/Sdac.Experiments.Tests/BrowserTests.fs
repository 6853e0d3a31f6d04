/// The report in a browser: nothing stands out of the window or out of its picture.
module Sdac.Experiments.Tests.BrowserTests

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open System.Text.RegularExpressions
open Expecto
open Sdac.Functional
open Sdac.Sampling
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.ReportSupport
open Sdac.Testing

let private browser =
    [ "/usr/bin/chromium"; "/usr/bin/chromium-browser"; "/usr/bin/google-chrome" ]
    |> List.tryFind File.Exists

/// Opens what is folded, and writes what stands out to an attribute: the window's width, the page's, elements beyond the window, tables that must be scrolled,
/// labels that are cut.
let private measuring =
    """<script>
window.addEventListener('load', () => setTimeout(() => {
  const width = document.documentElement.clientWidth, out = [];
  for (const e of document.querySelectorAll('details')) e.open = true;
  const say = (what, e) => out.push(`${what}: ${e.tagName} ${e.className.baseVal ?? e.className} ${(e.textContent || '').trim().slice(0, 40)}`);
  for (const e of document.body.querySelectorAll('*')) {
    if (e.closest('svg, script, .modebar')) continue;
    const r = e.getBoundingClientRect();
    if (r.width > 0 && (r.right > width + 1 || r.left < -1)) say('beyond the window', e);
  }
  for (const e of document.querySelectorAll('.table')) if (e.scrollWidth > e.clientWidth + 1) say('to be scrolled', e);
  for (const e of document.querySelectorAll('.legend .scrollbar')) {
    if (e.getBoundingClientRect().height > 0) out.push(`a legend to be scrolled: ${e.closest('.plot').id}`);
  }
  for (const plot of document.querySelectorAll('.plot')) {
    const p = plot.getBoundingClientRect();
    for (const e of plot.querySelectorAll('svg text')) {
      const r = e.getBoundingClientRect();
      if (r.width > 0 && (r.left < p.left - 1 || r.right > p.right + 1 || r.bottom > p.bottom + 1)) say('cut', e);
    }
  }
  for (const e of document.images) if (!e.naturalWidth) say('not drawn', e);
  const plots = document.querySelectorAll('.plot svg').length + document.images.length;
  const found = { width, page: document.documentElement.scrollWidth, plots, out };
  document.documentElement.setAttribute('data-found', JSON.stringify(found));
}, 500));
</script>
</body>"""

/// The page's DOM once its scripts have run, in a window of a width.
let private dom (browser: string) (folder: string) (page: string) (width: int) : string =
    let start = ProcessStartInfo(browser, RedirectStandardOutput = true, RedirectStandardError = true)

    for argument in
        [ "--headless"
          "--no-sandbox"
          "--disable-gpu"
          "--hide-scrollbars"
          $"--user-data-dir={folder}"
          $"--window-size={width},2000"
          "--virtual-time-budget=20000"
          "--dump-dom"
          Uri(page).AbsoluteUri ] do
        start.ArgumentList.Add argument

    use browser = nonNull (Process.Start start)
    browser.ErrorDataReceived.Add ignore
    browser.BeginErrorReadLine()
    let text = browser.StandardOutput.ReadToEnd()
    browser.WaitForExit()
    text

/// Runs of two tasks with a long name among those of the groups, failed seeds and a single run.
let private widest (root: string) =
    campaign root

    for seed in 0L .. 2L do
        spec "Hopper-v4" seed 4
        |> configured (fun c -> { c with Hidden = [ 256; 256; 256 ] })
        |> fun spec -> folderOf (Path.Combine(root, $"wide-{seed}")) spec [ 1.0; 12345.678 ] (seed > 0L)

        folderOf (Path.Combine(root, $"dpmd-{seed}")) (asDpmd (spec "Hopper-v4" seed 4)) [ 1.0; 2.0 ] true

    // as many phases as algorithms together have
    for path in Directory.GetDirectories root do
        let folder: RunFolder = { Path = path }

        using (LineWriter.Create folder.Timings) (fun timings ->
            timings.Write(
                [ "iteration", Count 10L; "seconds", Value 3.0; "memoryMiB", Value 100.0 ]
                @ [ for phase in
                        [ "collect"
                          "evaluateQ"
                          "followTargets"
                          "improvePolicy"
                          "logging"
                          "progress"
                          "reverseSample"
                          "rssmUpdate"
                          "tuneTemperature" ] -> phase, Value 0.1 ]
            ))

/// Looks at a page that `write` makes in a folder, at both widths: it has more than so many pictures, and nothing stands out.
let private fits (pictures: int) (write: string -> string) =
    match browser with
    | None -> skiptest "no Chromium on this machine: the widths of the page are not checked"
    | Some browser ->
        // beside the folder of the test, whose files must be in no language
        let profile = Directory.CreateTempSubdirectory("sdac-browser-").FullName

        try
            inFolder (fun root ->
                let page = write root
                let measured = Path.Combine(string (Path.GetDirectoryName page), "measured.html")
                File.WriteAllText(measured, (File.ReadAllText page).Replace("</body>", measuring))

                for width in [ 1280; 500 ] do
                    let text = dom browser profile measured width
                    let found = Regex.Match(text, "data-found=\"([^\"]*)\"")
                    Expect.isTrue found.Success $"the page was measured at {width} pixels"

                    use json = JsonDocument.Parse(Net.WebUtility.HtmlDecode found.Groups[1].Value |> nonNull)

                    let figure (name: string) = json.RootElement.GetProperty(name)
                    Expect.equal ((figure "width").GetInt32()) width "the window"
                    Expect.isGreaterThan ((figure "plots").GetInt32()) pictures "pictures"
                    let out = [ for line in (figure "out").EnumerateArray() -> line.GetString() ]
                    Expect.isEmpty out $"at {width} pixels"
                    Expect.isLessThanOrEqual ((figure "page").GetInt32()) width "the page's width")
        finally
            Directory.Delete(profile, true)

/// A cell of the page of known densities with figures as wide as they come, that cost nothing.
let private widestCell (target: Target) (method: ToyMethod) (seed: int64) : ToyCell =
    { Target = target.Name
      Method = method.Name
      Seed = seed
      Settings = ToyCell.settings method target
      Measures =
        { Kl = 0.123456 * float (seed + 1L)
          KlError = 0.00123456
          Wasserstein2 = 1.23456 * float (seed + 1L)
          EnergyDistance = -0.000123456 * float (seed + 1L)
          ModeWeightError = 0.0123456 * float (seed + 1L)
          ModesFound = 40.0
          Seconds = 1234.5 * float (seed + 1L)
          PeakMiB = 1234.5 }
      ScoreErrors =
        [ for t in 0..9 -> { Timestep = t; NoiseLevel = 0.1 * 1.5 ** float t; Error = 0.01 * float (t + 1) } ]
      Points = Array.zeroCreate<byte> 80 }

[<Tests>]
let tests =
    testList
        "browser"
        [ testCase "a report fits windows of 1280 and 500 pixels" (fun () ->
              fits 10 (fun root ->
                  widest (Path.Combine(root, "runs"))
                  let out = Path.Combine(root, "out")
                  captureError (fun () -> Report.write standard [ Path.Combine(root, "runs") ] out) |> fst))

          testCase "the page of known densities fits windows of 1280 and 500 pixels" (fun () ->
              fits 30 (fun root ->
                  let targets = [ Targets.pair; Targets.forty; Targets.manyWell; Targets.dw4 ]

                  let cells =
                      [ for target in targets do
                            for method in ToyMethods.all do
                                for seed in 0L .. 1L -> widestCell target method seed ]

                  ToyPage.write root targets ToyMethods.all cells
                  Path.Combine(root, "toy.html"))) ]
