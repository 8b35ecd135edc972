"""Cuts the committed numbers out of the whole golden files of the published SPIRAL program.

    python spiral_subset.py <golden> tests/golden

The source folder holds inputs and outputs of the program's own modules (Speech-Backbones, commit 7782c7a, Apache-2.0)
for a narrow model of the same topology. tests/golden/README.md says what is kept and what is left out.
Needs: numpy 2.4.6, safetensors 0.8.0.
"""
import pathlib
import shutil
import sys

from safetensors.numpy import load_file, save_file

source, target = (pathlib.Path(argument) for argument in sys.argv[1:])

for name in ("contrastive_loss", "ctc_head_char", "ctc_head_subword", "noise_mix", "small_state_dict"):
    shutil.copyfile(source / f"{name}.safetensors", target / f"{name}.safetensors")

# The same modules in double precision.
forward = load_file(source / "encoder_forward.safetensors")
save_file(
    {name: values for name, values in forward.items() if not name.startswith("f64.")},
    target / "encoder_forward.safetensors",
)


def kept(name: str) -> bool:
    """Whether a tensor of the training step is kept."""
    part, _, parameter = name.partition(".")
    # What lies between: the loss and the gradients depend on all of it.
    if part in ("teacher_proj", "pred", "pred_flat", "target_flat"):
        return False
    # Of each Transformer block the first layer, of the predictor the first convolution.
    repeated = any(f".layers.{layer}." in parameter for layer in (1, 2))
    if part == "grad":
        return not repeated and not parameter.startswith("predictor.conv_layers.1.")
    # Of the updated weights one of each kind outside of the layers: the update does not know which one it is at.
    if part in ("after_adamw", "after_ema"):
        large = (".layers.", ".pos_conv.0.weight_v", "block_modules.0.conv.", "block_modules.4.", "predictor.conv_layers.")
        return not any(piece in parameter for piece in large)
    return True


step = load_file(source / "pretrain_step_clean_f32.safetensors")
save_file(
    {name: values for name, values in step.items() if kept(name)},
    target / "pretrain_step_clean_f32.safetensors",
)
