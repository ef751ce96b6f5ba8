"""In the folder Testing: python -m host check MODULE.py [--screenshot out.png]"""

import argparse
import traceback

import host


def _check(options):
    problems = []
    host.start(testing=options.run_test)
    try:
        _module, widget = host.load_module(options.module)
        host.process_events(options.seconds)
        for name in options.click:
            host.click(getattr(widget.parent, name))
            host.process_events(options.seconds)
        if options.screenshot:
            host.screenshot(widget, options.screenshot, options.width)
        if options.run_test:
            import slicer

            slicer.selfTests[widget.moduleName]()
    except Exception as error:
        traceback.print_exc()
        problems.append(f"{type(error).__name__}: {error}")
    problems += [f"error in {what}: {error!r}" for what, error, _ in host.slot_errors]
    problems += host.warnings
    problems += [f"not in the host: {name}" for name in host.missing]
    for dialog in host.dialogs:
        print("dialog:", dialog)
    for problem in problems:
        print("problem:", problem)
    print("RESULT:", "problems" if problems else "ok")
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(prog="host", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="load a module, say what went wrong")
    checking.add_argument("module")
    checking.add_argument("--screenshot", help="PNG of the panel")
    checking.add_argument("--width", type=int, default=400, help="of the panel, in pixels")
    checking.add_argument("--click", action="append", default=[], metavar="NAME")
    checking.add_argument("--seconds", type=float, default=0.3, help="for events after each step")
    checking.add_argument("--run-test", action="store_true", help="run the module's self test")
    host.finish(_check(parser.parse_args()))


if __name__ == "__main__":
    main()
