"""``slicer.i18n``: texts pass through the application's translator, which only knows English."""


def translate(context, text):
    import slicer

    return slicer.app.translate(context, text)


def tr(text):
    if not isinstance(text, str):
        raise TypeError(f"tr() takes text, not {type(text).__name__}")
    return translate("", text)
