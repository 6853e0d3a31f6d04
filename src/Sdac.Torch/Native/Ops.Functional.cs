namespace TorchSharp.Native;

internal static partial class Ops
{
    internal static readonly Op binary_cross_entropy_with_logits =
        new("binary_cross_entropy_with_logits", inOrder: true);
    internal static readonly Op cosine_similarity = new("cosine_similarity", inOrder: true);
    internal static readonly Op glu = new("glu");
    internal static readonly Op huber_loss = new("huber_loss", inOrder: true);
    internal static readonly Op l1_loss = new("l1_loss", inOrder: true);
    internal static readonly Op layer_norm = new("layer_norm");
    internal static readonly Op linear = new("linear", inOrder: true);
    internal static readonly Op mish = new("mish");
    internal static readonly Op mse_loss = new("mse_loss", inOrder: true);
    internal static readonly Op one_hot = new("one_hot");
    internal static readonly Op smooth_l1_loss = new("smooth_l1_loss", inOrder: true);
    internal static readonly Op softplus = new("softplus");
}
