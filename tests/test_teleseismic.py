from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from xgeoml.datasets import teleseismic_greens
from xgeoml.datasets.teleseismic import CRUST, double_couple, surface
from xgeoml.exceptions import InputError

# Sharp pulses, so that their times can be read.
SHARP = {"attenuation": 0.1, "step": 0.01, "samples": 6000}
EXPLOSION = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
THRUST = {"strike": 353.0, "dip": 19.0, "rake": 83.0}
# The crust of IASP91.
IASP91 = [(20.0, 5.8, 3.36), (35.0, 6.5, 3.75), (np.inf, 8.045, 4.485)]


def respond(azimuth=(30.0,), distance=(60.0,), **given):
    usual = {"depth": 60.0, "step": 0.1, "samples": 600, "onset": 10.0, "quantity": "displacement"}
    if not {"moment_tensor", "strike", "dip", "rake"} & set(given):
        usual |= THRUST
    return teleseismic_greens(azimuth, distance, **(usual | given))


def peak(greens: xr.DataArray, start: float, stop: float) -> tuple[float, float]:
    """Return value and time of the largest excursion between two times."""
    part = greens.squeeze().sel(time=slice(start, stop))
    at = int(abs(part.values).argmax())
    return float(part[at]), float(part.time[at])


# ---------------------------------------------------------------- the source
@pytest.mark.parametrize(
    ("angles", "known"),
    [
        ((0, 90, 0), {"Mtp": -1.0}),
        ((90, 90, 0), {"Mtp": 1.0}),
        ((0, 45, 90), {"Mrr": 1.0, "Mpp": -1.0}),  # a thrust, squeezed from east and west
        ((90, 45, -90), {"Mrr": -1.0, "Mtt": 1.0}),
        ((0, 90, 90), {"Mrp": 1.0}),  # the block in the east rises
        ((0, 0, 0), {"Mrt": -1.0}),  # what lies above moves north
    ],
)
def test_known_mechanisms(angles, known):
    names = ("Mrr", "Mtt", "Mpp", "Mrt", "Mrp", "Mtp")
    np.testing.assert_allclose(
        double_couple(*angles), [known.get(name, 0) for name in names], atol=1e-15
    )


@pytest.mark.parametrize("angles", [(353, 19, 83), (10, 70, -160), (200, 5, 45)])
def test_a_double_couple_has_no_trace_and_unit_moment(angles):
    rr, tt, pp, rt, rp, tp = double_couple(*angles)
    matrix = np.array([[rr, rt, rp], [rt, tt, tp], [rp, tp, pp]])
    np.testing.assert_allclose(np.linalg.eigvalsh(matrix), [-1, 0, 1], atol=1e-14)
    assert np.sqrt((matrix**2).sum() / 2) == pytest.approx(1)


def test_three_ways_to_give_a_source():
    six = double_couple(**THRUST)
    names = ("Mtp", "Mrp", "Mrt", "Mpp", "Mtt", "Mrr")
    named = dict(zip(names, six[::-1], strict=True))
    expected = respond()
    xr.testing.assert_allclose(respond(moment_tensor=six), expected, rtol=1e-12)
    xr.testing.assert_allclose(respond(moment_tensor=list(six)), expected, rtol=1e-12)
    xr.testing.assert_allclose(respond(moment_tensor=named), expected, rtol=1e-12)
    xr.testing.assert_allclose(respond(moment_tensor=2 * six), 2 * expected, rtol=1e-12)


def test_both_planes_of_a_fault_send_the_same():
    here, there = np.arange(0.0, 360, 20), np.full(18, 55.0)
    one = respond(here, there, strike=0, dip=45, rake=90)
    other = respond(here, there, strike=180, dip=45, rake=90)
    np.testing.assert_allclose(one, other, atol=1e-12)


# ---------------------------------------------------------------- rays
def test_an_explosion_sends_p_and_its_reversed_echo_and_no_s():
    greens = respond(moment_tensor=EXPLOSION, **SHARP)
    up, first = peak(greens, 0, 20)
    down, second = peak(greens, 20, 30)
    assert up > 0
    assert -1 < down / up < -0.6
    slowness = 6.876 / 111.19
    delay = 2 * sum(
        thick * np.sqrt(1 / speed**2 - slowness**2)
        for thick, speed in ((35.0, CRUST[0][1]), (25.0, CRUST[1][1]))
    )
    assert second - first == pytest.approx(delay, abs=0.015)
    # Nothing but the tails where sP of a fault arrives, 7 s after pP.
    fault = respond(moment_tensor=double_couple(0, 45, 90), **SHARP)
    assert abs(peak(fault, second + 5, second + 9)[0]) > 0.1 * up
    assert np.ptp(greens.sel(time=slice(second + 5, second + 9)).values) < 1e-3 * up


def test_the_echo_comes_two_depths_times_cosine_over_speed_late():
    speed, depth = 6.0, 30.0
    sine = speed * 6.876 / 111.19
    greens = respond(moment_tensor=EXPLOSION, depth=depth, crust=[(np.inf, speed, 3.4)], **SHARP)
    delay = peak(greens, 15, 40)[1] - peak(greens, 0, 15)[1]
    assert delay == pytest.approx(2 * depth * np.sqrt(1 - sine**2) / speed, abs=0.015)


@pytest.mark.parametrize(
    ("depth", "distance", "of_p", "of_s"),
    # By TauP, for IASP91, seconds behind P.
    [(20.0, 60.0, 6.436, 9.040), (72.0, 45.0, 17.843, 26.376)],
)
def test_delays_are_those_of_a_spherical_earth(depth, distance, of_p, of_s):
    # Seen from here, a fault of 60 degrees sends all three.
    fault = {"strike": 0, "dip": 60, "rake": 90}
    greens = respond([90.0], [distance], depth=depth, crust=IASP91, **fault, **SHARP)
    start = peak(greens, 0, 13)[1]
    for late in (of_p, of_s):
        assert peak(greens, start + late - 1, start + late + 1)[1] - start == pytest.approx(
            late, rel=0.01
        )


def test_a_free_surface_bears_no_stress():
    fast, slow = 6.3, 3.6
    for slowness in (0.001, 0.04, 0.08):
        eta_p, eta_s = (np.sqrt(speed**-2 - slowness**2) for speed in (fast, slow))

        def traction(motion, ray):
            # Lamé's parameters over density; z is down.
            mu, lam = slow**2, fast**2 - 2 * slow**2
            shear = mu * (ray[1] * motion[0] + ray[0] * motion[1])
            return np.array([shear, lam * np.dot(ray, motion) + 2 * mu * ray[1] * motion[1]])

        down_p = traction(fast * np.array([slowness, eta_p]), [slowness, eta_p])
        down_s = traction(slow * np.array([eta_s, -slowness]), [slowness, eta_s])
        up_p = traction(fast * np.array([slowness, -eta_p]), [slowness, -eta_p])
        up_s = traction(slow * np.array([eta_s, slowness]), [slowness, -eta_s])
        solved = [np.linalg.solve(np.stack([down_p, down_s], 1), -up)[0] for up in (up_p, up_s)]
        np.testing.assert_allclose(surface(np.array(slowness), fast, slow), solved, rtol=1e-10)


def test_at_a_free_surface_no_source_of_stress_on_it_sends_anything():
    # By reciprocity, since there the waves that come from afar bear no such stress: this ties
    # strength and sign of the three phases together.
    fast, slow = CRUST[0][1:]
    lam, mu = fast**2 - 2 * slow**2, slow**2
    for silent in ([0, 0, 0, mu, 0, 0], [0, 0, 0, 0, mu, 0], [lam + 2 * mu, lam, lam, 0, 0, 0]):
        near, far = (
            abs(respond(moment_tensor=silent, depth=depth, attenuation=10.0, samples=900)).max()
            for depth in (0.1, 30.0)
        )
        assert near < 0.03 * far


def test_straight_down_all_p_comes_back_reversed_and_no_s_is_turned():
    np.testing.assert_allclose(surface(np.array(0.0), 6.3, 3.6), [-1, 0])


def test_a_strike_slip_fault_has_four_lobes():
    azimuth = np.arange(0.0, 360, 5)
    greens = respond(azimuth, np.full(72, 60.0), strike=0, dip=90, rake=0)
    # Displacement at the peak of P, before the echoes come.
    lobes = greens.sel(time=10.15, method="nearest").values
    np.testing.assert_allclose(lobes / lobes.max(), np.sin(2 * np.deg2rad(azimuth)), atol=1e-3)


def test_one_mechanism_turned_with_its_stations_is_the_same():
    azimuth = np.array([0.0, 70, 200])
    one = respond(azimuth, [40.0, 50, 80], **THRUST)
    other = respond(azimuth + 40, [40.0, 50, 80], **(THRUST | {"strike": 33.0}))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_farther_stations_look_straight_down():
    # P of a thrust on a plane of 45 degrees is strongest straight down.
    near, far = respond([0.0, 0.0], [30.0, 95.0], strike=0, dip=45, rake=90).max("time")
    assert far > near > 0


# ---------------------------------------------------------------- time
def test_the_pulse_rises_within_a_second_of_the_onset_and_keeps_its_area():
    for onset in (5.0, 5.03, 12.5):
        greens = respond(moment_tensor=EXPLOSION, onset=onset, depth=100.0)
        value, at = peak(greens, 0, onset + 10)
        assert at == pytest.approx(onset + 0.15, abs=0.06)
        before = greens.sel(time=slice(0, onset - 1))
        assert abs(before).max() < 2e-6 * value
    # Not all of it: the tail is long.
    area = respond(moment_tensor=EXPLOSION, depth=100.0, onset=5.0).sel(time=slice(0, 25)).sum()
    assert 0.97 < float(area) < 1


@pytest.mark.parametrize("attenuation", [0.3, 2.0])
def test_attenuation_flattens_and_widens_the_pulse(attenuation):
    value = peak(respond(moment_tensor=EXPLOSION), 0, 20)[0]
    other = peak(respond(moment_tensor=EXPLOSION, attenuation=attenuation), 0, 20)[0]
    assert other / value == pytest.approx(1 / attenuation, rel=0.1)


def test_velocity_is_the_derivative_of_displacement():
    velocity = respond(quantity="velocity", step=0.02, samples=2000).values
    displacement = respond(step=0.02, samples=2000).values
    change = np.gradient(displacement, 0.02, axis=1)
    assert abs(change - velocity).max() < 0.01 * abs(velocity).max()


@pytest.mark.parametrize("quantity", ["velocity", "displacement"])
def test_a_coarse_step_is_the_sum_of_fine_ones(quantity):
    fine = respond(step=0.05, samples=1200, quantity=quantity).values
    coarse = respond(step=0.45, samples=130, quantity=quantity).values
    summed = np.array([fine[:, 9 * k - 4 : 9 * k + 5].sum(1) for k in range(1, 130)]).T
    np.testing.assert_allclose(coarse[:, 1:], summed, atol=1e-7)


@pytest.mark.parametrize("samples", [1, 2, 17, 601, 8192, 12000])
def test_the_length_changes_nothing(samples):
    short, long = respond(samples=samples), respond(samples=9000)
    both = min(samples, 9000)
    scale = float(abs(long).max())
    np.testing.assert_allclose(
        short.isel(time=slice(both)), long.isel(time=slice(both)), atol=2e-6 * scale
    )


def test_nothing_comes_around_the_end():
    # Far more than the record's length after its start, and beyond what a transform has at least.
    late = respond(onset=1500.0, samples=600)
    assert abs(late).max() < 1e-6
    cut = respond(samples=105)
    assert abs(cut[:, :90]).max() < 1e-6 * abs(respond()).max()


def test_a_source_and_its_responses_make_the_record():
    long = respond(samples=900)
    source = np.zeros(50)
    source[[4, 30]] = 2.0, 1.0
    made = np.convolve(long[0], source)[:900]
    expected = 2 * np.roll(long[0].values, 4) + np.roll(long[0].values, 30)
    np.testing.assert_allclose(made[60:], expected[60:], atol=1e-9)


# ---------------------------------------------------------------- form
def test_form():
    greens = respond([10.0, 20.0], [40, 50], quantity="velocity")
    assert greens.dims == ("station", "time")
    assert greens.dtype == np.float64
    assert greens.name == "greens"
    assert greens.attrs["units"] == "1"
    assert "synthetic" in greens.attrs["source"]
    assert "geometrical spreading" in greens.attrs["comment"]
    assert greens.time.attrs == {"long_name": "time", "units": "s"}
    assert greens.azimuth.values.tolist() == [10.0, 20.0]
    assert greens.distance.attrs["units"] == "degree"
    np.testing.assert_allclose(np.diff(greens.time), 0.1)


def test_arrays_keep_their_dim_and_coordinates():
    stations = xr.Dataset(
        coords={
            "trace": ["AAK", "YSS"],
            "lat": ("trace", np.float32([1, 2])),
            "azimuth": ("trace", np.float32([10, 20]), {"units": "degree"}),
            "distance": ("trace", np.float32([40, 50])),
            "event": 7,
        }
    )
    greens = respond(stations.azimuth, stations.distance)
    assert greens.dims == ("trace", "time")
    assert set(greens.coords) == {"trace", "lat", "azimuth", "distance", "event", "time"}
    assert greens.trace.values.tolist() == ["AAK", "YSS"]
    plain = respond([10.0, 20.0], [40.0, 50.0])
    np.testing.assert_array_equal(greens, plain)
    assert stations.azimuth.attrs == {"units": "degree"}
    for mixed in (
        respond(stations.azimuth, [40.0, 50.0]),
        respond([10.0, 20.0], stations.distance),
        respond(stations.azimuth.chunk(), stations.distance),
    ):
        xr.testing.assert_identical(mixed.drop_attrs(), greens.drop_attrs())


def test_a_dim_called_distance_and_no_station_at_all():
    ring = xr.DataArray([40.0, 50.0], dims="distance", coords={"distance": [40.0, 50.0]})
    assert respond(xr.zeros_like(ring), ring).sel(distance=50.0).sizes == {"time": 600}
    assert respond([], []).sizes == {"station": 0, "time": 600}


def test_it_survives_a_file(tmp_path):
    made = respond()
    made.to_netcdf(tmp_path / "made.nc")
    with xr.open_dataarray(tmp_path / "made.nc") as read:
        xr.testing.assert_identical(read.load(), made)


# ---------------------------------------------------------------- what is refused
def along(dim, values, **coords):
    return xr.DataArray(values, dims=dim, coords=coords)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distance": [20.0]}, "distance is 20 at 1 of 1 stations: expected 30 to 95 degrees"),
        ({"distance": [96.0]}, "expected 30 to 95 degrees"),
        ({"distance": [np.nan]}, "distance is nan"),
        ({"azimuth": [np.inf]}, "azimuth is inf"),
        ({"azimuth": ["north"]}, "azimuth=.*expected numbers"),
        ({"azimuth": 10.0}, "azimuth has 0 dims"),
        ({"azimuth": [[10.0]]}, "azimuth has 2 dims"),
        ({"azimuth": [1.0, 2.0, 3.0], "distance": [40.0, 50.0]}, "not of the same stations"),
        (
            {
                "azimuth": along("s", [1.0, 2.0], s=["A", "B"]),
                "distance": along("s", [40.0, 50.0], s=["B", "A"]),
            },
            "not of the same stations",
        ),
        ({"azimuth": along("a", [1.0]), "distance": along("b", [40.0])}, "the dims a, b"),
        ({"azimuth": along("time", [1.0])}, "none called 'time'"),
        ({"azimuth": along("s", [1.0], time=3)}, "none called 'time'"),
        ({"depth": 0.0}, "depth=0.0: expected a number, 0.1 to 100 km"),
        ({"depth": 600}, "depth=600"),
        ({"depth": np.nan}, "depth=nan"),
        ({"step": 0}, "step=0:"),
        ({"step": "0.1"}, "step='0.1'"),
        ({"onset": -1.0}, "onset=-1.0"),
        ({"attenuation": 0.0}, "attenuation=0.0: expected a number, 0.1 to 10 s"),
        ({"attenuation": True}, "attenuation=True"),
        ({"samples": 0}, "samples=0"),
        ({"samples": 10.0}, "samples=10.0"),
        ({"quantity": "acceleration"}, "quantity='acceleration': expected 'velocity'"),
        ({"moment_tensor": EXPLOSION, "strike": 10.0}, "given by moment_tensor, strike"),
        ({"strike": 10.0, "dip": 40.0}, "given by strike, dip: expected either"),
        ({"strike": None}, "given by nothing: expected either"),
        ({"strike": np.nan, "dip": 3.0, "rake": 4.0}, "strike=nan: .* degrees"),
        ({"moment_tensor": [1.0, 2.0]}, "expected six numbers, Mrr"),
        ({"moment_tensor": [1.0, 2.0, 3.0, 4.0, 5.0, np.nan]}, "expected six numbers"),
        ({"moment_tensor": {"Mxx": 1.0}}, "moment_tensor has Mxx: expected Mrr, Mtt"),
        ({"crust": []}, "expected rows of bottom depth"),
        ({"crust": [(35.0, 6.3)]}, "expected rows of bottom depth"),
        ({"crust": [(35.0, 6.3, 3.6)]}, "down to the source at 60 km"),
        ({"crust": [(40.0, 6.3, 3.6), (35.0, 8.0, 4.5)]}, "expected rows"),
        ({"crust": [(np.inf, 6.3, 3.6), (np.inf, 8.0, 4.5)]}, "expected rows"),
        ({"crust": [(np.inf, 6.3, 0.0)]}, "S speed above 0"),
        ({"crust": [(np.inf, 6.3, 6.0)]}, "below 0.866 of it"),
        ({"crust": [(np.inf, 13.0, 6.0)]}, "P speed below 12"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=message):
            respond(**given)
