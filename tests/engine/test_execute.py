"""The same kernel on NumPy and dask: same bits, whatever the chunks, threads or processes."""

import dask
import dask.array as da
import numpy as np
import pytest
import torch
import toys
from threadpoolctl import threadpool_limits

from xgeoml.engine import execute as execute_module
from xgeoml.engine import plan as plan_module
from xgeoml.engine.execute import execute as engine_execute
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.kernel import Job
from xgeoml.engine.plan import plan_axes
from xgeoml.exceptions import InputError
from xgeoml.options import Options
from xgeoml.spec import AxisSpec, Channel, ModelSpec


def execute(arrays, job, area):
    """Run a job on steps of a month each."""
    return engine_execute(arrays, job, area, 2000 + np.arange(arrays[0].shape[-1]) / 12)


VALUE = (Channel("value"), Channel("validity"))
QUIET = Options(device="cpu", progress=False)


def series_spec(**changes):
    spec = ModelSpec(name="toy_series", task="fill_gaps", factory=toys.SeriesNet, inputs=VALUE)
    return spec.replace(**changes)


def field_spec(window=16, stride=8, **changes):
    spec = ModelSpec(
        name="toy_field",
        task="fill_gaps",
        factory=toys.FieldNet,
        axes=(AxisSpec("Y", "window", window, stride), AxisSpec("X", "window", window, stride)),
        inputs=VALUE,
    )
    return spec.replace(**changes)


def records(*shape, seed=0, missing=0.2):
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape).astype(np.float32)
    values[random.random(shape) < missing] = np.nan
    return values


def series_job(shape, spec=None, **options):
    spec = spec or series_spec()
    axes = [AxisSpec("Y", "pointwise"), AxisSpec("X", "pointwise"), AxisSpec("T")]
    bases = tuple(ModelHandle(get(name)) for name in spec.bases)
    return Job(ModelHandle(spec, None, bases), plan_axes(shape, axes), Options(**options))


def get(name):
    from xgeoml.registry import get_model

    return get_model(name)


def field_job(shape, periodic=False, spec=None):
    spec = spec or field_spec()
    axes = [AxisSpec("T", "pointwise"), *spec.axes]
    return Job(ModelHandle(spec), plan_axes(shape, axes, [False, False, periodic]), QUIET)


CHUNKINGS = [(-1, -1), (1, -1), (7, 5), (13, 40), ((3, 30, 7), (20, 33))]


@pytest.mark.parametrize("chunks", CHUNKINGS)
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_series_give_the_same_bits_in_any_chunking(chunks, scheduler):
    values = records(40, 53, 30)
    job = series_job(values.shape)
    area = np.ones((40, 53))
    expected = execute([values], job, area)
    lazy = execute([da.from_array(values, chunks=(*chunks, 10))], job, area)
    with dask.config.set(scheduler=scheduler):
        np.testing.assert_array_equal(lazy.compute(), expected)
    assert expected.dtype == np.float32


def test_series_give_the_same_bits_in_other_processes():
    values = records(40, 53, 30)
    job = series_job(values.shape)
    expected = execute([values], job, np.ones((40, 53)))
    lazy = execute([da.from_array(values, chunks=(9, 20, 30))], job, np.ones((40, 53)))
    with dask.config.set(scheduler="processes", num_workers=2):
        np.testing.assert_array_equal(lazy.compute(), expected)


@pytest.mark.parametrize("chunks", CHUNKINGS)
@pytest.mark.parametrize("periodic", [False, True])
def test_fields_give_the_same_bits_in_any_chunking(chunks, periodic):
    values = records(2, 40, 56)
    job = field_job(values.shape, periodic)
    if isinstance(chunks[1], tuple):
        chunks = (chunks[0], (20, 36))
    expected = execute([values], job, np.ones(2))
    lazy = execute([da.from_array(values, chunks=(1, *chunks))], job, np.ones(2))
    np.testing.assert_array_equal(lazy.compute(scheduler="threads"), expected)
    assert np.isfinite(expected).all()


def test_a_periodic_field_may_be_rolled():
    values = records(1, 24, 64)
    job = field_job(values.shape, periodic=True)
    rolled = np.roll(values, 8, axis=2)
    expected = execute([values], job, np.ones(1))
    found = execute([rolled], job, np.ones(1))
    np.testing.assert_allclose(found, np.roll(expected, 8, axis=3), atol=1e-6)
    regional = execute([values], field_job(values.shape), np.ones(1))
    assert np.abs(regional - expected).max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 3, 5), (1, 1, 1), (2, 8, 16), (1, 17, 9)])
def test_fields_smaller_than_a_window(shape):
    values = records(*shape, missing=0)
    job = field_job(shape)
    expected = execute([values], job, np.ones(shape[0]))
    lazy = execute([da.from_array(values, chunks=(1, 2, 3))], job, np.ones(shape[0]))
    np.testing.assert_array_equal(lazy.compute(), expected)
    assert expected.shape == (1, *shape)
    assert np.isfinite(expected).all()


def test_the_batch_changes_nothing_but_rounding():
    values = records(20, 20, 30)
    one = execute([values], series_job(values.shape, batch_size=1), np.ones((20, 20)))
    many = execute([values], series_job(values.shape, batch_size=64), np.ones((20, 20)))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_a_residual_is_added_to_its_base():
    spec = series_spec(
        inputs=(*VALUE, Channel("estimate", "linear")),
        outputs=("residual",),
        options={"channels": 3},
    )
    values = records(3, 4, 30)
    with_net = execute([values], series_job(values.shape, spec), np.ones((3, 4)))
    base = execute([values], series_job(values.shape, get("linear")), np.ones((3, 4)))
    difference = np.abs(with_net - base)
    assert np.isfinite(with_net).all()
    assert 0 < difference.max() < 5


def test_lazy_stays_lazy_and_small():
    def refuse(*args, **kwargs):
        raise AssertionError("computed while the graph was built")

    values = da.random.random((200, 200, 24), chunks=(20, 20, 24))
    job = series_job(values.shape)
    with dask.config.set(scheduler=refuse):
        lazy = execute([values], job, np.ones((200, 200)))
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == values.dtype


def test_low_precision_is_close_and_differs():
    values = records(8, 8, 30)
    exact = execute([values], series_job(values.shape), np.ones((8, 8)))
    rough = execute([values], series_job(values.shape, precision="bfloat16"), np.ones((8, 8)))
    assert 0 < np.abs(exact - rough).max() < 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
def test_the_accelerator_gives_the_answer_of_the_processor():
    values = records(20, 20, 30)
    here = execute([values], series_job(values.shape, device="cpu"), np.ones((20, 20)))
    there = execute([values], series_job(values.shape, device="auto"), np.ones((20, 20)))
    np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.mark.parametrize("model", ["dineof", "kalman"])
def test_the_number_of_threads_of_linear_algebra_changes_no_bit(model):
    values = records(12, 20, 60)
    job = series_job(values.shape, get(model))
    with threadpool_limits(limits=1, user_api="blas"):
        one = execute([values], job, np.ones((12, 20)))
    with threadpool_limits(limits=2, user_api="blas"):
        two = execute([values], job, np.ones((12, 20)))
    np.testing.assert_array_equal(one, two)


def test_a_device_that_is_not_here_is_refused_before_anything_is_computed():
    values = da.zeros((4, 4, 24), chunks=2)
    with pytest.raises(InputError, match="device 'cuda:99' is not here"):
        execute([values], series_job((4, 4, 24), device="cuda:99"), np.ones((4, 4)))


def test_a_bar_asked_for_with_lazy_data_is_not_left_out_silently():
    values = da.zeros((4, 4, 24), chunks=2)
    with pytest.warns(UserWarning, match="ProgressBar"):
        execute([values], series_job((4, 4, 24), progress=True), np.ones((4, 4)))


@pytest.mark.parametrize("lazily", [False, True])
def test_a_value_too_large_to_square_twice_is_named(lazily):
    values = records(4, 4, 24).astype(np.float64)
    values[1, 2, 3] = 1e300
    given = da.from_array(values, chunks=2) if lazily else values
    job = series_job((4, 4, 24), get("linear"), progress=False)
    with pytest.raises(InputError, match=r"hold 1e\+300; expected values within 1e\+75"):
        np.asarray(execute([given], job, np.ones((4, 4))))


@pytest.mark.parametrize("chunks", [(60, 150, 24), (30, 40, 8), (64, 192, 1)])
def test_chunks_that_have_to_be_torn_are_joined_to_few_tiles(chunks, monkeypatch):
    monkeypatch.setattr(plan_module, "TILE_ELEMENTS", 24 * 64)
    monkeypatch.setattr(execute_module, "JOINED_ELEMENTS", 24 * 256)
    shape = (64, 192, 24)
    job = series_job(shape, get("linear"), progress=False)
    made = execute([da.zeros(shape, chunks=chunks)], job, np.ones(shape[:2]))
    assert np.prod(made.chunksize[1:]) <= 24 * 256
    kept = execute([da.zeros(shape, chunks=(32, 64, 24))], job, np.ones(shape[:2]))
    assert kept.chunksize[1:] == (32, 64, 24)


@pytest.mark.parametrize("model", ["kalman", "dineof"])
def test_threads_of_linear_algebra_change_no_bit(model):
    shape = (6, 6, 300)
    values, driver, other = (records(*shape, seed=seed, missing=0.0) for seed in (0, 1, 2))
    values += np.cumsum(driver, axis=-1)
    values[..., 100:111] = np.nan
    job = series_job(shape, get(model), progress=False)
    given = [values, driver, other] if get(model).covariates else [values]
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            made.append(execute(given, job, np.ones(shape[:2])))
    np.testing.assert_array_equal(*made)
