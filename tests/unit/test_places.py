"""Places: what is one, and which cells lie near a point."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.limits import PLACE_METERS
from domain.places import EARTH_METERS, Point, blocks_near, cell_of, cells_near, distance, name_key, place_id, point_of

latitudes = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 0.0, 89.9999, -89.9999, 89.99]))
longitudes = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 0.0, 179.99999, -179.99999]))
points = st.builds(Point, latitudes, longitudes)


def moved(point: Point, meters: float, bearing: float) -> Point:
    """The point at a distance in a direction."""
    north, east, angle = math.radians(point.latitude), math.radians(point.longitude), meters / EARTH_METERS
    sine = math.sin(north) * math.cos(angle) + math.cos(north) * math.sin(angle) * math.cos(bearing)
    latitude = math.asin(max(-1.0, min(1.0, sine)))
    by = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(north),
        math.cos(angle) - math.sin(north) * math.sin(latitude),
    )
    longitude = (math.degrees(east + by) + 540) % 360 - 180
    return Point(math.degrees(latitude), longitude)


@given(points, st.floats(0, PLACE_METERS), st.floats(0, 2 * math.pi))
def test_whatever_is_near_lies_in_a_cell_near_by(point: Point, meters: float, bearing: float) -> None:
    other = moved(point, meters, bearing)
    if distance(point, other) <= PLACE_METERS:
        assert cell_of(other) in cells_near(point)
        assert cell_of(point) in cells_near(other)


@given(points, st.floats(0, PLACE_METERS), st.floats(0, 2 * math.pi))
def test_places_that_may_be_one_are_in_a_common_block(point: Point, meters: float, bearing: float) -> None:
    other = moved(point, meters, bearing)
    if cell_of(other) in cells_near(point):
        assert blocks_near(point) & blocks_near(other)


@given(points, st.text(max_size=3))
def test_a_place_is_shown_within_its_cell_near_what_is_there(point: Point, key: str) -> None:
    cell = cell_of(point)
    shown = point_of(place_id(key, cell), cell)
    assert cell_of(shown) == cell
    assert distance(shown, point) <= PLACE_METERS or abs(point.latitude) > 89.9


@given(points)
def test_few_cells_are_near(point: Point) -> None:
    assert cell_of(point) in cells_near(point)
    assert len(cells_near(point)) <= 24


@given(points, st.floats(0, 2 * math.pi))
def test_a_cell_is_small(point: Point, bearing: float) -> None:
    far = moved(point, 3 * PLACE_METERS, bearing)
    assert cell_of(far) != cell_of(point) or abs(point.latitude) > 89.99


@pytest.mark.parametrize(
    ("one", "other", "meters"),
    [
        (Point(0, 0), Point(0, 1), 111_195),
        (Point(52.5163, 13.3777), Point(48.8584, 2.2945), 879_700),
        (Point(0, 179.999), Point(0, -179.999), 222.4),
        (Point(90, 0), Point(90, 120), 0),
        (Point(90, 0), Point(-90, 0), math.pi * EARTH_METERS),
    ],
)
def test_distances(one: Point, other: Point, meters: float) -> None:
    assert distance(one, other) == pytest.approx(distance(other, one))
    assert distance(one, other) == pytest.approx(meters, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alexanderplatz", "ALEXANDERPLATZ"),
        ("Café  Central", "café central"),
        ("St. Mark's", "st mark s"),
        ("\uff21lex", "alex"),
        ("Straße", "STRASSE"),
        ("東京タワー", " 東京タワー "),
    ],
)
def test_names_that_are_the_same_place(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize("name", ["...", "!", "東京", "a"])
def test_every_name_has_a_key(name: str) -> None:
    assert name_key(name)


def test_the_id_of_a_place_is_its_name_and_its_cell() -> None:
    cell = cell_of(Point(52.5, 13.4))
    assert (
        len({place_id("a", cell), place_id("b", cell), place_id("a", None), place_id("a", cell_of(Point(0, 0)))}) == 4
    )
    assert place_id("a", cell) == place_id("a", cell_of(Point(52.5, 13.4)))
