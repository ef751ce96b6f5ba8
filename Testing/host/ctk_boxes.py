"""Stand-ins for CTK's collapsible boxes, drawn with plain Qt, and for its message box."""

import functools

from PySide6 import QtCore, QtGui, QtWidgets

from .standin import computed, prop, standin

Qt = QtCore.Qt
_LEFT = int(Qt.AlignLeft | Qt.AlignVCenter)


class _Collapsing:
    """Hides its children when collapsed, and shows the ones it has hidden when expanded."""

    def _h_apply(self, collapsed):
        for child in self.children():
            if not isinstance(child, QtWidgets.QWidget) or child.isWindow():
                continue
            if collapsed:
                self._h_hide(child)
            elif child in self._h_hidden:
                self._h_hidden.remove(child)
                child.setVisible(True)
        self.updateGeometry()
        self.update()

    def _h_hide(self, child):
        hidden = child.testAttribute(Qt.WA_WState_Hidden)
        if not hidden or not child.testAttribute(Qt.WA_WState_ExplicitShowHide):
            self._h_hidden.append(child)
            child.setVisible(False)

    def childEvent(self, event):
        # not at ChildAdded: the child is still under construction then
        if event.type() == QtCore.QEvent.ChildPolished and self.collapsed:
            child = event.child()
            widget = isinstance(child, QtWidgets.QWidget) and not child.isWindow()
            if widget and child not in self._h_hidden:
                self._h_hide(child)
        super().childEvent(event)


@standin("contentsCollapsed(bool)")
class ctkCollapsibleButton(_Collapsing, QtWidgets.QAbstractButton):
    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, *arguments):
        self.__dict__["_h_hidden"] = []
        parent = next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None)
        QtWidgets.QAbstractButton.__init__(self, parent)
        self.text = next((a for a in arguments if isinstance(a, str)), "")
        self.setCheckable(True)
        self.setChecked(True)
        policy = QtWidgets.QSizePolicy.Preferred
        self.setSizePolicy(policy, policy)
        self.setContentsMargins(0, self._h_header(), 0, 0)
        self.toggled.connect(self._h_toggled)

    def _h_header(self):
        return self.fontMetrics().height() + 8

    def _h_toggled(self, on):
        self._h_apply(not on)
        self.setMaximumHeight(16777215 if on else self._h_header() + self.collapsedHeight)
        self.contentsCollapsed.emit(not on)

    collapsed = computed(
        bool,
        lambda self: not QtWidgets.QAbstractButton.isChecked(self),
        lambda self, value: self.setChecked(not value),
    )
    collapsedHeight = prop(int, "collapsedHeight", 10)
    flat = prop(bool, "flat", False)
    contentsFrameShape = prop(int, "contentsFrameShape", 0)
    contentsFrameShadow = prop(int, "contentsFrameShadow", int(QtWidgets.QFrame.Plain))
    contentsLineWidth = prop(int, "contentsLineWidth", 1)
    contentsMidLineWidth = prop(int, "contentsMidLineWidth", 0)
    buttonTextAlignment = prop(int, "buttonTextAlignment", _LEFT)
    indicatorAlignment = prop(int, "indicatorAlignment", _LEFT)

    def collapse(self, value):
        self.collapsed = value

    def minimumSizeHint(self):
        width = self.fontMetrics().horizontalAdvance(self.text) + 40
        hint = QtCore.QSize(width, self._h_header())
        if self.layout() is not None and not self.collapsed:
            hint = hint.expandedTo(self.layout().totalMinimumSize())
        return hint

    def sizeHint(self):
        if self.layout() is not None and not self.collapsed:
            return self.layout().totalSizeHint().expandedTo(self.minimumSizeHint())
        return self.minimumSizeHint()

    def hitButton(self, position):
        return position.y() < self._h_header()

    def paintEvent(self, event):
        painter, style = QtGui.QPainter(self), self.style()
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, QtWidgets.QWidget.size.__get__(self).width(), self._h_header())  # fmt: skip # noqa: E501
        style.drawPrimitive(QtWidgets.QStyle.PE_PanelButtonCommand, option, painter, self)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(5, 4, 12, self._h_header() - 8)
        shape = "Right" if self.collapsed else "Down"
        primitive = getattr(QtWidgets.QStyle, "PE_IndicatorArrow" + shape)
        style.drawPrimitive(primitive, arrow, painter, self)
        flags = _LEFT | int(Qt.TextShowMnemonic)
        painter.drawText(option.rect.adjusted(22, 0, 0, 0), flags, self.text)
        painter.end()


class _ArrowStyle(QtWidgets.QProxyStyle):
    """Draws the check mark of a collapsible group box as an arrow, as CTK does."""

    def drawPrimitive(self, element, option, painter, widget=None):
        if element == QtWidgets.QStyle.PE_IndicatorCheckBox:
            on = bool(option.state & QtWidgets.QStyle.State_On)
            shape = "Down" if on else "Right"
            element = getattr(QtWidgets.QStyle, "PE_IndicatorArrow" + shape)
        super().drawPrimitive(element, option, painter, widget)


@functools.cache
def _arrow_style():
    """A style shared by all boxes; a widget does not keep its style alive."""
    return _ArrowStyle()


@standin()
class ctkCollapsibleGroupBox(_Collapsing, QtWidgets.QGroupBox):
    def __init__(self, *arguments):
        self.__dict__["_h_hidden"] = []
        QtWidgets.QGroupBox.__init__(self, *arguments)
        self.setStyle(_arrow_style())
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self.expand)

    def expand(self, on):
        self._h_apply(not on)
        closed = self.fontMetrics().height() + 8 + self.collapsedHeight
        self.setMaximumHeight(16777215 if on else closed)

    collapsed = computed(
        bool,
        lambda self: self.checkable and not self.checked,
        lambda self, value: self.setChecked(not value),
    )
    collapsedHeight = prop(int, "collapsedHeight", 14)


@standin()
class ctkMessageBox(QtWidgets.QMessageBox):
    dontShowAgainVisible = prop(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = prop(str, "dontShowAgainSettingsKey", "")
