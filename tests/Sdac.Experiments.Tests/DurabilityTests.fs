/// Names of files and folders on the disk, by a library that stands before the system's fsync.
module Sdac.Experiments.Tests.DurabilityTests

open System
open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support

/// Notes the folders that are flushed in the file SHIM_LOG, and answers SHIM_ERROR for them, or for the files in SHIM_FILES.
let private source =
    """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int fsync(int descriptor)
{
    struct stat status;
    char link[64], path[4096] = "";
    const char *files = getenv("SHIM_FILES");
    int error = atoi(getenv("SHIM_ERROR"));
    fstat(descriptor, &status);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, path, sizeof path - 1) > 0 && S_ISDIR(status.st_mode)) {
        FILE *log = fopen(getenv("SHIM_LOG"), "a");
        fprintf(log, "%s\n", path);
        fclose(log);
    }
    if (error && (*files ? strstr(path, files) != NULL : S_ISDIR(status.st_mode))) {
        errno = error;
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(descriptor);
}
"""

/// Runs this assembly's program with the library before the system's: exit code, error, the folders that were flushed.
let private withShimFor (files: string) (root: string) (error: int) (arguments: string list) =
    let library, log = Path.Combine(root, "shim.so"), Path.Combine(root, "shim.log")

    if not (File.Exists library) then
        let code = Path.Combine(root, "shim.c")
        File.WriteAllText(code, source)

        if not (canRun "gcc" [ "-shared"; "-fPIC"; "-o"; library; code; "-ldl" ]) then
            skiptest "gcc is missing"

    File.Delete log

    let variables =
        [ "LD_PRELOAD", library; "SHIM_LOG", log; "SHIM_ERROR", string error; "SHIM_FILES", files ]

    use running = startWith variables (host arguments)
    let code, error = ended running
    code, error, (if File.Exists log then File.ReadAllLines log |> List.ofArray else [])

let private withShim = withShimFor ""

[<Tests>]
let tests =
    testList
        "durability"
        [ testCase "every newly made folder is flushed in the one above it, and no others are" (fun () ->
              inFolder (fun root ->
                  let at (name: string) = Path.Combine(root, name)
                  let code, error, flushed = withShim root 0 [ "--create-folder"; at "a/b/c/d" ]
                  Expect.equal (code, error) (0, "") "exit"
                  Expect.equal flushed [ root; at "a"; at "a/b"; at "a/b/c" ] "new ones"
                  let _, _, flushed = withShim root 0 [ "--create-folder"; at "a/b/e/" ]
                  Expect.equal flushed [ at "a/b" ] "one more"
                  let _, _, flushed = withShim root 0 [ "--create-folder"; at "a/b/c" ]
                  Expect.equal flushed [] "none"))

          testCase "a folder that cannot be flushed is a failure of storage" (fun () ->
              inFolder (fun root ->
                  for arguments in
                      [ [ "--create-folder"; Path.Combine(root, "a") ]; [ "--write"; Path.Combine(root, "b") ] ] do
                      let code, error, _ = withShim root 5 arguments
                      Expect.equal code ((Storage "").ExitCode) "input/output error"
                      Expect.stringContains error $"cannot flush {root}: " "input/output error"
                      Directory.GetDirectories root |> Array.iter Directory.Delete
                      let code, error, _ = withShim root 28 arguments
                      Expect.equal code ((Storage "").ExitCode) "full disk"
                      Expect.stringContains error $"the disk is full: cannot flush {root}" "full disk"
                      Directory.GetDirectories root |> Array.iter Directory.Delete))

          testCase "a file that cannot be flushed is a failure of storage, and the old one stays" (fun () ->
              inFolder (fun root ->
                  let path = Path.Combine(root, "a.txt")
                  File.WriteAllText(path, "old")
                  let code, error, _ = withShimFor "a.txt" root 5 [ "--write"; path ]
                  Expect.equal code ((Storage "").ExitCode) "code"
                  Expect.stringContains error $"cannot write {path}: " "error"
                  Expect.equal (File.ReadAllText path) "old" "content"
                  // a file that is appended to
                  let run = prepared (Path.Combine(root, "run")) (varied 20L)
                  let code, error, _ = withShimFor "metrics.jsonl" root 28 [ "--resume"; run.Path ]
                  Expect.equal code ((Storage "").ExitCode) "code of the run"
                  Expect.stringContains error $"the disk is full: cannot write {run.Metrics}" "error of the run"
                  Expect.isEmpty (Checkpoint.list run) "no checkpoint counts on the lines"
                  Expect.isTrue (resumed run).IsSome "it goes on later"))

          testCase "file systems that flush no folders are left alone" (fun () ->
              inFolder (fun root ->
                  for error, name in [ 22, "EINVAL"; 95, "ENOTSUP" ] do
                      let code, said, flushed = withShim root error [ "--create-folder"; Path.Combine(root, name) ]
                      Expect.equal (code, said) (0, "") name
                      Expect.equal flushed [ root ] name)) ]
