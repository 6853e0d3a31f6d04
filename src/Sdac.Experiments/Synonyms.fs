namespace Sdac.Experiments

open System

/// What other libraries call our settings: somebody who knows one of them writes its names first.
[<RequireQualifiedAccess>]
module Synonyms =
    /// Ours, and the others' names in lower case without signs between words.
    let private table =
        [ "learningRate", [ "lr"; "stepsize"; "actorlr"; "criticlr"; "qlr"; "pilr"; "learningrates" ]
          "discount", [ "gamma"; "discountfactor"; "discounting" ]
          "environments", [ "nenvs"; "numenvs"; "envs"; "parallelenvs"; "nenv"; "numenvironments" ]
          "hidden",
          [ "hiddensize"
            "hiddensizes"
            "hiddendim"
            "hiddendims"
            "hiddenlayers"
            "hiddenunits"
            "netarch"
            "layers"
            "width"
            "widths" ]
          "bufferCapacity",
          [ "buffersize"
            "replaysize"
            "replaybuffersize"
            "memorysize"
            "capacity"
            "replaycapacity"
            "maxreplaysize" ]
          "batchSize", [ "batch"; "minibatchsize"; "minibatch"; "bs" ]
          "tau", [ "polyak"; "softupdate"; "targettau"; "targetupdaterate" ]
          "warmUp",
          [ "learningstarts"
            "startsteps"
            "randomsteps"
            "warmupsteps"
            "starttimesteps"
            "startimesteps"
            "minreplaysize" ]
          "iterations",
          [ "updates"
            "steps"
            "totaltimesteps"
            "totalsteps"
            "maxsteps"
            "numsteps"
            "nsteps"
            "epochs"
            "maxtimesteps" ]
          "updatesPerStep", [ "utd"; "utdratio"; "updatetodata"; "gradientsteps"; "replayratio" ]
          "initialTemperature", [ "alpha"; "temperature"; "entcoef"; "lambda"; "initalpha"; "inittemperature" ]
          "targetEntropyPerDim", [ "targetentropy" ]
          "timesteps", [ "diffusionsteps"; "denoisingsteps"; "numtimesteps"; "diffusiontimesteps"; "nt" ]
          "particles", [ "nparticles"; "numparticles"; "bestofn"; "candidates"; "numparticlesactor" ]
          "monteCarloDraws", [ "mcsamples"; "numsamples"; "draws"; "samples"; "montecarlosamples"; "nsamples" ]
          "policyDelay", [ "policyfreq"; "actordelay"; "policyfrequency"; "delayupdate"; "targetupdateinterval" ]
          "rewardScale", [ "rewardscaling" ]
          "evaluateEvery", [ "evalfreq"; "evalinterval"; "evalevery"; "evaluationinterval"; "evalfrequency" ]
          "evaluationEpisodes", [ "evalepisodes"; "nevalepisodes"; "numevalepisodes" ]
          "checkpointEvery", [ "savefreq"; "saveevery"; "checkpointinterval"; "saveinterval" ]
          "logEvery", [ "loginterval"; "logfreq"; "logfrequency" ] ]

    let private plain (name: string) =
        (name.Substring(name.LastIndexOf '.' + 1)).ToLowerInvariant().Replace("_", "").Replace("-", "")

    /// Options of training, and what other programs call them.
    let private options =
        [ "--task", [ "env"; "envid"; "environment"; "envname"; "game" ]
          "--out", [ "output"; "outdir"; "outputdir"; "dir"; "logdir"; "savedir" ]
          "--algorithm", [ "algo"; "alg"; "agent" ]
          "--steps", [ "totaltimesteps"; "totalsteps"; "timesteps"; "maxsteps"; "maxtimesteps"; "numsteps" ]
          "--iterations", [ "updates"; "epochs" ]
          "--resume", [ "load"; "restore"; "continue" ]
          "--episodes", [ "nepisodes"; "numepisodes"; "evalepisodes" ]
          "--run", [ "path"; "checkpointdir"; "model" ] ]

    /// The last names of all settings that others' names stand for.
    let ours: string list = List.map fst table

    /// The option that another program's stands for, among those that there are.
    let tryFindOption (name: string) (valid: string list) : string option =
        options
        |> List.tryFind (fun (ours, others) -> List.contains ours valid && List.contains (plain name) others)
        |> Option.map fst

    /// Our setting that a name stands for, among those that there are: also our own name written in another manner (batch_size).
    let tryFind (name: string) (valid: string list) : string option =
        let wanted = plain name
        let called (ours: string) = valid |> List.tryFind (fun path -> plain path = ours.ToLowerInvariant())

        match valid |> List.tryFind (fun path -> plain path = wanted) with
        | Some own -> Some own
        | None ->
            table
            |> List.tryFind (fun (_, others) -> List.contains wanted others)
            |> Option.bind (fst >> called)
