import matplotlib
from matplotlib import _pylab_helpers

from polymlops.figures.curves import Curve, curves_figure
from polymlops.figures.saving import save_figure
from polymlops.records import Estimate


def figure():
    return curves_figure([Curve("baseline", "pass@k", {1: Estimate(0.2, 0.1, 0.3), 2: Estimate(0.3, 0.2, 0.4)}, 1)])


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    (tmp_path / "again").mkdir()
    first, second = save_figure(figure(), tmp_path, "plot"), save_figure(figure(), tmp_path / "again", "plot")
    assert [path.name for path in first] == ["plot.pdf", "plot.png"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_files_are_vector_and_raster_without_a_date(tmp_path):
    pdf, png = save_figure(figure(), tmp_path, "plot")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert png.read_bytes().startswith(b"\x89PNG")
    for word in (b"CreationDate", b"Producer", b"/Type3"):
        assert word not in pdf.read_bytes()
    for word in (b"Software", b"tIME"):
        assert word not in png.read_bytes()


def test_pyplot_and_the_global_settings_are_left_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    save_figure(figure(), tmp_path, "plot")
    assert dict(matplotlib.rcParams) == before
    assert _pylab_helpers.Gcf.figs == {}
