"""The part of the Sample Data module that AXON uses: registration, and loading from local files."""

import os
import urllib.parse

import slicer


class SampleDataSource:
    def __init__(self, **values):
        self.__dict__.update(values)


class SampleDataLogic:
    """Sources are kept in ``slicer.modules.sampleDataSources``, as in Slicer."""

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileType="VolumeFile",
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
    ):
        values = {k: v for k, v in locals().items() if k != "category"}
        for name in ("uris", "fileNames", "nodeNames"):
            if isinstance(values[name], str):
                values[name] = [values[name]]
        if thumbnailFileName is not None and not os.path.exists(thumbnailFileName):
            raise FileNotFoundError(thumbnailFileName)
        sources = slicer.modules.__dict__.setdefault("sampleDataSources", {})
        found = sources.setdefault(category, [])
        found[:] = [s for s in found if s.sampleName != sampleName]
        found.append(SampleDataSource(**values))

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        sources = slicer.modules.__dict__.setdefault("sampleDataSources", {})
        return sources if category is None else sources.get(category, [])

    def sourceForSampleName(self, sampleName):
        for sources in slicer.modules.__dict__.get("sampleDataSources", {}).values():
            for source in sources:
                if source.sampleName == sampleName:
                    return source
        return None

    def downloadFromSource(self, source):
        """As in Slicer, a source's own downloader is left to the button in the panel."""
        nodes = []
        for uri, name in zip(source.uris, source.nodeNames, strict=True):
            parts = urllib.parse.urlparse(uri)
            if parts.scheme != "file":
                raise RuntimeError(f"The test host downloads nothing: {uri}")
            path = urllib.parse.unquote(parts.path)
            nodes.append(slicer.util.loadNodeFromFile(path, source.loadFileType, {"name": name}))
        return nodes

    def downloadSamples(self, sampleName):
        return self.downloadFromSource(self.sourceForSampleName(sampleName))


def downloadSample(sampleName):
    return SampleDataLogic().downloadSamples(sampleName)[0]
