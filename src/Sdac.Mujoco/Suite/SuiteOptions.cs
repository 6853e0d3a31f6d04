namespace Sdac.Mujoco;

/// <summary>
/// A task of the Control Suite has no options of its own. The field's habit is the wrapper action_repeat at 2.
/// </summary>
internal sealed record SuiteOptions;
