"""A slice or 3D view, rendered off-screen by Slicer's displayable managers."""

import slicer
import vtk

DEFAULT_SIZE = (400, 400)
_SUFFIX = "DisplayableManager"
_THREE_D = ("Camera", "View", "Model", "ThreeDReformat", "OrientationMarker", "Ruler",
            "VolumeRendering", "Markups", "LinearTransforms")  # fmt: skip
_SLICE = ("VolumeGlyphSlice", "ModelSlice", "Crosshair", "OrientationMarker", "Ruler", "ScalarBar",
          "Markups", "Transforms" + _SUFFIX + "2D")  # fmt: skip


def _manager_names(names):
    return [f"vtkMRML{name}" + ("" if _SUFFIX in name else _SUFFIX) for name in names]


class RenderedView:
    """Render window of a view node, created on first use."""

    def __init__(self, node, slice_logic=None, annotation=None):
        self.node, self.slice_logic = node, slice_logic
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetSize(*DEFAULT_SIZE)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.Initialize(self._factory(), self.renderer)
        self.group.SetMRMLDisplayableNode(node)
        if slice_logic is not None:
            self._show_slice()
        if annotation is not None:
            self.renderer.AddViewProp(annotation)

    def _factory(self):
        three_d = self.slice_logic is None
        kind = "ThreeDView" if three_d else "SliceView"
        factory = getattr(slicer, f"vtkMRML{kind}DisplayableManagerFactory").GetInstance()
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in _manager_names(_THREE_D if three_d else _SLICE):
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        return factory

    def _show_slice(self):
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        self.mapper.SetInputConnection(self.slice_logic.GetBlend().GetOutputPort())
        self.actor = vtk.vtkActor2D()
        self.actor.SetMapper(self.mapper)
        self.actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self.actor)

    def render(self):
        if self.slice_logic is not None:
            self.slice_logic.ResizeSliceNode(*self.window.GetSize())
            connection = self.slice_logic.GetImageDataConnection()
            self.actor.SetVisibility(connection is not None)
            if connection is not None:
                self.mapper.SetInputConnection(connection)
        self.window.Render()

    def save(self, path, width=600, height=600):
        """Save a PNG of a given size in pixels."""
        self.window.SetSize(width, height)
        self.render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()
