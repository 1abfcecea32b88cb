import builtins

import pytest
import torch
from safetensors.torch import save_file

from xgeoml.engine.handle import load_weights
from xgeoml.exceptions import MissingExtraError, WeightsError
from xgeoml.models.swin2sr import Swin2SR

pytest.importorskip("transformers")

SMALL = {"embed": 12, "depths": [2, 2], "heads": [2, 2], "window": 4}
# As published, but for the size of the body.
DOMAIN = {**SMALL, "factor": 5, "window": 5, "domain": [44, 60, 32, 48]}
PUBLISHED = {"embed": 180, "depths": [6] * 6, "heads": [6] * 6, "window": 5, "mlp": 2.0}


def published(model):
    """Return a state under the names of published files, with what they hold beside."""
    state = {}
    for key, value in model.state_dict().items():
        part, rest = key.split(".", 1)
        state[{"lead": "preprocess_model.", "body": "swin."}[part] + rest] = value.clone()
    layer = "swin.swin2sr.encoder.stages.0.layers.0.attention.self."
    state[layer + "relative_position_index"] = torch.zeros(25, 25, dtype=torch.int64)
    state[layer + "relative_coords_table"] = torch.zeros(1, 9, 9, 2)
    return state


@pytest.mark.parametrize("factor", range(2, 9))
@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (8, 13)])
def test_untrained_it_adds_nothing_at_any_size(factor, rows, columns):
    coarse = torch.randn(2, 2, rows, columns)
    fine = torch.randn(2, 1, rows * factor, columns * factor)
    made = Swin2SR(factor, **SMALL)(coarse, fine, factor)
    assert made.shape == fine.shape
    assert not made.any()


def test_all_channels_count():
    torch.manual_seed(0)
    model = Swin2SR(2, channels=3, fine_channels=2, **SMALL).eval()
    torch.nn.init.normal_(model.head.weight)
    coarse, fine = torch.randn(1, 3, 5, 6), torch.randn(1, 2, 10, 12)
    usual = model(coarse, fine, 2)
    for given, n in ((coarse, 3), (fine, 2)):
        for i in range(n):
            before = given[:, i].clone()
            given[:, i, 2, 2] += 1.0
            assert not torch.allclose(model(coarse, fine, 2), usual)
            given[:, i] = before


def test_nothing_is_random_in_training():
    model = Swin2SR(2, **SMALL).train()
    torch.nn.init.normal_(model.head.weight)
    coarse, fine = torch.randn(1, 2, 5, 6), torch.randn(1, 1, 10, 12)
    assert torch.equal(model(coarse, fine, 2), model(coarse, fine, 2))


def test_the_published_network_has_as_many_parameters():
    with torch.device("meta"):
        model = Swin2SR(5, domain=DOMAIN["domain"], **PUBLISHED)
    assert sum(p.numel() for p in model.parameters()) == 12_383_377
    assert model.lead.weight.shape == (1, 1, 25, 31)


def test_a_published_file_is_read(tmp_path):
    torch.manual_seed(0)
    theirs, ours = Swin2SR(**DOMAIN), Swin2SR(**DOMAIN)
    save_file(published(theirs), tmp_path / "model.safetensors")
    load_weights(ours, tmp_path / "model.safetensors")
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[key])
    # And our own names, as before.
    ours.load_state_dict(theirs.state_dict())


def test_a_published_file_of_another_size_is_refused(tmp_path):
    save_file(published(Swin2SR(**DOMAIN)), tmp_path / "model.safetensors")
    other = Swin2SR(**{**DOMAIN, "embed": 24})
    with pytest.raises(WeightsError, match="does not fit the network"):
        load_weights(other, tmp_path / "model.safetensors")


def test_the_middle_of_a_domain_is_refined():
    torch.manual_seed(0)
    model = Swin2SR(**DOMAIN).eval()
    with torch.no_grad():
        made = model(torch.randn(1, 2, 44, 60), torch.zeros(1, 1, 220, 300), 5)
    assert made.shape == (1, 1, 220, 300)
    assert made[..., 30:190, 30:270].all()
    made[..., 30:190, 30:270] = 0.0
    assert not made.any()
    with torch.no_grad():
        made = model(torch.randn(1, 2, 40, 17), torch.zeros(1, 1, 200, 85), 5)
    assert made.shape == (1, 1, 200, 85)
    with pytest.raises(ValueError, match=r"got \(45, 60\) coarse rows and columns, expected at"):
        model(torch.randn(1, 2, 45, 60), torch.zeros(1, 1, 225, 300), 5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"factor": 1}, "factor=1: expected a whole number, 2 to 8"),
        ({"embed": 13}, "expected an even number"),
        ({"heads": [2]}, "as many heads as depths"),
        ({"heads": [5, 5]}, "a multiple of each of the heads"),
        ({"factor": 5, "domain": [44, 60, 33, 48]}, "expected coarse rows and columns"),
        ({"factor": 5, "domain": [24, 40, 32, 48]}, "expected coarse rows and columns"),
    ],
)
def test_options_that_do_not_go(options, told):
    with pytest.raises(ValueError, match=told):
        Swin2SR(**{**SMALL, **options})
    with pytest.raises(ValueError, match="got factor 3, expected 4"):
        Swin2SR(4, **SMALL)(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 12, 12), 3)


def test_without_the_extra(monkeypatch):
    usual = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "transformers":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'pip install "xgeoml\[swin\]"'):
        Swin2SR(**SMALL)
