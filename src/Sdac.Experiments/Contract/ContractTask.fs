namespace Sdac.Experiments

open System
open Sdac.Functional
open Sdac.Mujoco

/// The task of the contract: a point (x, y) is shown, and the action is to be (x, -y). It costs next to no physics, a sound
/// algorithm learns it in seconds, and random actions get 1/3 of 1.
[<RequireQualifiedAccess>]
module ContractTask =
    [<Literal>]
    let private Still =
        """<mujoco>
  <option gravity="0 0 0" timestep="0.001"/>
  <worldbody>
    <body>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <geom size="0.1" mass="1" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x" gear="0.000001" ctrlrange="-1 1" ctrllimited="true"/>
    <motor joint="y" gear="0.000001" ctrlrange="-1 1" ctrllimited="true"/>
  </actuator>
</mujoco>"""

    let private distance (step: StepView) =
        let clamp (a: float) = Math.Clamp(a, -1.0, 1.0)
        let dx, dy = clamp step.Action[0] - step.Physics.Qpos[0], clamp step.Action[1] + step.Physics.Qpos[1]
        dx * dx + dy * dy

    /// `steps`: the time limit. `terminates`: every step ends its episode by the task's rule.
    let create (steps: int) (terminates: bool) : TaskDefinition =
        TaskDefinition(
            Name = "Contract",
            LoadModel = (fun () -> Model.FromXml("contract", Still)),
            FrameSkip = 1,
            MaxEpisodeSteps = steps,
            ObsDim = 2,
            Observe =
                ObserveFunction(fun physics obs ->
                    obs[0] <- physics.Qpos[0]
                    obs[1] <- physics.Qpos[1]),
            Reward = RewardFunction(fun step _ -> 1.0 - 0.5 * distance step),
            Terminated = TerminatedFunction(fun _ -> terminates),
            Start = StartFunction(fun key qpos _ -> StartNoise.AddUniform(key, 1.0, qpos))
        )

    let space = { ObsDim = 2; ActionDim = 2 }
