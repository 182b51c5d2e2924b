"""Options of a class: from its constructor, from its `Options`; a line about each; the sets that stand for all of them."""

from typing import Literal, NamedTuple

import pytest

import rnnsim as rs
from rnnsim.cells import CELLS
from rnnsim.core.options import combinations, explanations, variants
from rnnsim.core.registry import checked, option_table
from rnnsim.errors import RnnsimError
from rnnsim.networks import NETWORKS, build, explained, options_of


class Spiral:
    """A spiral with options of its own.

    n : how many
    """

    class Options(NamedTuple):
        """Options.

        arms, turns : of the spiral; a text that does not end
            on its line goes on
        form : which
        """

        turns: float
        arms: int = 2
        form: Literal["flat", "steep"] = "flat"

    tested_options = (dict(turns=3.0),)

    def __init__(self, n: int, inward: bool = False, **options):
        self.n, self.options = n, self.Options(**checked("spiral", Spiral, options, ("n", "inward")))


def test_options_come_from_the_constructor_and_from_a_named_tuple():
    table = option_table(Spiral, ("n",))
    assert list(table) == ["inward", "turns", "arms", "form"]
    assert table["arms"] == (int, 2) and table["inward"] == (bool, False)
    assert Spiral(1, turns="2.5", arms="3").options == (2.5, 3, "flat")


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "spiral needs the option turns"),
        (dict(turns=1, arm=3), "unknown option of spiral 'arm'; did you mean 'arms'?"),
        (dict(turns=1, arms=2.5), "arms=2.5: expected a whole number"),
        (dict(turns=1, form="round"), "form=round: expected one of flat, steep"),
    ],
)
def test_wrong_options_of_a_named_tuple_are_one_clear_line(options, message):
    with pytest.raises(RnnsimError) as error:
        Spiral(1, **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_named_tuples_count_only_where_the_constructor_takes_options():
    class Plain(Spiral):
        def __init__(self, n: int):
            self.n = n

    assert list(option_table(Plain)) == ["n"]


def test_explanations_come_from_the_docstrings():
    found = explanations(Spiral)
    assert found["n"] == "how many" and found["form"] == "which"
    assert found["arms"] == found["turns"] == "of the spiral; a text that does not end on its line goes on"


def test_variants_are_all_choices_and_the_examples():
    found = variants(Spiral, ("n",))
    assert found[-1] == {"turns": 3.0}
    assert found[:-1] == combinations({"inward": (False, True), "form": ("flat", "steep")})


def test_every_option_of_the_memory_blocks_is_explained():
    assert set(explained("lstm1997")) >= set(options_of("lstm1997"))
    assert all(len(line) > 10 for line in explained("lstm1997").values())


def test_memory_blocks_take_their_options_by_name():
    net = rs.LSTM1997(2, 1, blocks=3, in_bias="-1,-2,-3", output="tanh")
    assert net.blocks == 3 and net.in_bias == (-1.0, -2.0, -3.0) and net.config["options"]["output"] == "tanh"
    with pytest.raises(RnnsimError, match="unknown option of network 'lstm1997' 'block'; did you mean 'blocks'"):
        rs.LSTM1997(2, 1, block=3)


def test_every_cell_is_a_network():
    for name in CELLS:
        assert CELLS.summary(name) in NETWORKS.summary(name)
        assert build(name, 2, 1, {"hidden": 3}).config["name"] == name


def test_packages_offer_what_their_registries_name():
    from rnnsim.optimizers import OPTIMIZERS
    from rnnsim.tasks import TASKS

    for package, registry in ((rs.tasks, TASKS), (rs.optimizers, OPTIMIZERS), (rs.networks, NETWORKS), (rs, NETWORKS)):
        for attribute in registry.exports():
            assert getattr(package, attribute).__name__ == attribute and attribute in dir(package)
        for name in registry:
            assert registry.name_of(registry.load(name)) in (name, *CELLS)
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        rs.Nonsense  # noqa: B018
