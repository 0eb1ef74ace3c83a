"""AMD's Tcl commands as stubs that record how they were called, in Python's or the system's Tcl interpreter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

Call = tuple[str, ...]

RECORDED = """
open_project set_top add_files open_solution set_part create_clock set_directive_interface csim_design csynth_design
cosim_design export_design create_project set_property update_ip_catalog create_bd_design create_bd_cell
apply_bd_automation connect_bd_intf_net connect_bd_net assign_bd_address exclude_bd_addr_seg validate_bd_design
save_bd_design update_compile_order close_project launch_runs wait_on_run exit
"""
"""Commands whose result the scripts do not use."""

QUERIES = (
    "get_bd_cells get_bd_pins get_bd_addr_spaces get_bd_addr_segs get_files get_runs current_project current_fileset"
)
"""Commands that find something: they give back its name, their last argument."""

PRELUDE = """
set calls {}
foreach command {RECORDED} {
    proc $command args "lappend ::calls \\[linsert \\$args 0 $command\\]; return {}"
}
foreach command {QUERIES} {
    proc $command args {lindex $args end}
}
proc get_bd_intf_pins args {
    set pin [lindex $args end]
    expr {$pin in $::absent ? "" : $pin}
}
proc version args {return $::tool}
proc get_board_parts args {return $::boards}
proc make_wrapper args {lappend ::calls [linsert $args 0 make_wrapper]; return wrapper.v}
proc get_property {name object} {dict get $::properties $name}
"""


def run_tcl(script: Path, folder: Path, **variables: str) -> list[Call]:
    """What the script calls, in order, when it is read in ``folder``; RuntimeError with its error.

    Variables that the stubs read: ``tool`` (Vivado's version), ``boards`` (its board parts), ``absent`` (interface pins
    that do not exist), ``properties`` (of every object).
    """
    known = {"tool": "2024.2", "boards": "avnet.com:ultra96v2:part0:1.2", "absent": "", "properties": ""} | variables
    lines = [f"set {name} {{{value}}}" for name, value in known.items()]
    lines.append(PRELUDE.replace("RECORDED", " ".join(RECORDED.split())).replace("QUERIES", QUERIES))
    lines += [f"cd {{{folder}}}", f"source {{{script}}}"]
    lines.append(r'join [lmap call $calls {join $call "\x1f"}] "\x1e"')
    text = _evaluate("\n".join(lines))
    return [tuple(call.split("\x1f")) for call in text.split("\x1e")] if text else []


def _evaluate(script: str) -> str:
    try:
        from tkinter import Tcl, TclError
    except ImportError:
        return _tclsh(script)
    here = Path.cwd()
    try:
        return str(Tcl().eval(script))
    except TclError as error:
        raise RuntimeError(str(error)) from None
    finally:
        os.chdir(here)  # the interpreter's cd is the process's


def _tclsh(script: str) -> str:
    if shutil.which("tclsh") is None:
        pytest.skip("no Tcl interpreter: neither Python's tkinter nor tclsh (apt install tcl)")
    *first, last = script.rsplit("\n", 1)
    done = subprocess.run(
        ["tclsh"], input=f"{first[0]}\nputs -nonewline [{last}]", capture_output=True, text=True, check=False
    )
    if done.stderr:
        raise RuntimeError(done.stderr.splitlines()[0])
    return done.stdout


def of(calls: Sequence[Call], command: str) -> list[Call]:
    """The arguments of every call of a command."""
    return [call[1:] for call in calls if call[0] == command]


def option(call: Call, name: str) -> str:
    return call[call.index(name) + 1]


def configs(calls: Sequence[Call]) -> dict[str, Mapping[str, str]]:
    """Cell -> its parameters."""
    found = {}
    for call in of(calls, "set_property"):
        if call[0] == "-dict":
            found[call[2]] = dict(re.findall(r"CONFIG\.(\w+) \{(.*?)\}", call[1]))
    return found
