"""Stand-in for CTK's slider with a spin box, for floating-point numbers."""

from PySide6 import QtCore, QtWidgets

from .standin import computed, prop, standin

_STEPS = 10000  # positions of the plain Qt slider underneath


def _of_box(kind, name):
    setter = "set" + name[0].upper() + name[1:]
    return computed(
        kind,
        lambda self: getattr(self._h_box, name),
        lambda self, value: getattr(self._h_box, setter)(kind(value)),
    )


@standin(
    "valueChanged(double)",
    "valueIsChanging(double)",
    "decimalsChanged(int)",
    setters=("value", "decimals", "spinBoxVisible"),
)
class ctkSliderWidget(QtWidgets.QWidget):
    """minimum <= value <= maximum, rounded to the decimals; stored here, shown by plain widgets."""

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)

    def __init__(self, parent=None):
        QtWidgets.QWidget.__init__(self, parent)
        self.__dict__.update(_h_value=0.0, _h_min=0.0, _h_max=99.0, _h_showing=False)
        self.__dict__["_h_slider"] = slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self.__dict__["_h_box"] = box = QtWidgets.QDoubleSpinBox(self)
        QtWidgets.QHBoxLayout(self).setContentsMargins(0, 0, 0, 0)
        self.layout().addWidget(slider)
        self.layout().addWidget(box)
        slider.setRange(0, _STEPS)
        box.setMinimumWidth(70)
        box.setMaximumWidth(140)
        self._h_show()
        slider.valueChanged.connect(self._h_moved)
        box.valueChanged.connect(self._h_typed)

    def _h_moved(self, position):
        if not self._h_showing:
            self._h_set(self._h_min + position / _STEPS * (self._h_max - self._h_min))

    def _h_typed(self, value):
        if not self._h_showing:
            self._h_set(value)

    def _h_set(self, value):
        value = max(self._h_min, min(self._h_max, round(float(value), self.decimals)))
        changed, self._h_value = value != self._h_value, value
        self._h_show()
        if changed:
            self.valueChanged.emit(value)

    def _h_limit(self, low, high):
        self._h_min, self._h_max = float(low), float(high)
        self._h_set(self._h_value)

    def _h_set_decimals(self, number):
        self._h_box.setDecimals(int(number))
        self._h_show()
        self.decimalsChanged.emit(int(number))

    def _h_show(self):
        self._h_showing = True
        self._h_box.setRange(self._h_min, self._h_max)
        self._h_box.setValue(self._h_value)
        if self._h_max > self._h_min:
            share = (self._h_value - self._h_min) / (self._h_max - self._h_min)
            self._h_slider.setValue(round(share * _STEPS))
        self._h_showing = False

    value = computed(float, lambda self: self._h_value, lambda self, v: self._h_set(v))
    minimum = computed(
        float, lambda self: self._h_min, lambda self, v: self._h_limit(v, max(self._h_max, v))
    )
    maximum = computed(
        float, lambda self: self._h_max, lambda self, v: self._h_limit(min(self._h_min, v), v)
    )
    decimals = computed(
        int,
        lambda self: QtWidgets.QDoubleSpinBox.decimals.__get__(self._h_box),
        lambda self, v: self._h_set_decimals(v),
    )
    singleStep = _of_box(float, "singleStep")
    prefix = _of_box(str, "prefix")
    suffix = _of_box(str, "suffix")
    pageStep = prop(float, "pageStep", 10.0)
    tracking = prop(bool, "tracking", True)
    tickInterval = prop(float, "tickInterval", 0.1)
    spinBoxVisible = prop(
        bool, "spinBoxVisible", True, after=lambda self, v: self._h_box.setVisible(v)
    )

    def reset(self):
        self.value = 0.0
