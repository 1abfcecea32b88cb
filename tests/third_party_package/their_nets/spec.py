"""What xgeoml needs to know of the network: imports no torch."""

from xgeoml import AxisSpec, Channel, ModelSpec

SPEC = ModelSpec(
    name="their_net",
    task="fill_gaps",
    factory="their_nets.net:TheirNet",
    axes=(AxisSpec("T", minimum=12),),
    inputs=(
        Channel("value"),
        Channel("validity"),
        Channel("years"),
        Channel("estimate", "climatology"),
    ),
    outputs=("residual", "log_spread"),
    version="0.3",
    summary="two convolutions beside a climatology",
)
