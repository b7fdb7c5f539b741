"""What the checks need to know about C files: which there are, and their code without comments and literals."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

_NOISE = re.compile(r'//(?:\\\n|[^\n])*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files(*suffixes):
    """The files of src/ with these suffixes, sorted, relative to the root."""
    found = [p for s in suffixes for p in (ROOT / 'src').rglob('*' + s)]
    return sorted(p.relative_to(ROOT) for p in found)


def read(path):
    return (ROOT / path).read_text(encoding='utf-8', errors='replace')


def _blank(match):
    text = match.group()
    if text[0] in '"\'':
        return text[0] + re.sub(r'[^\n]', ' ', text[1:-1]) + text[0]
    return re.sub(r'[^\n]', ' ', text)


def bare(text):
    """The code with comments and the insides of literals blanked: every remaining byte stays where it was."""
    return _NOISE.sub(_blank, text)


def line_of(text, at):
    return text.count('\n', 0, at) + 1


def functions(path):
    """(name, first line, last line) of each function defined in the file, as ctags sees it; None without ctags."""
    try:
        out = subprocess.run(['ctags', '--kinds-C=f', '--fields=+ne', '--language-force=C', '--excmd=number', '-f', '-',
                              '--sort=no', str(ROOT / path)], capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    found = []
    for row in out.splitlines():
        fields = dict(f.split(':', 1) for f in row.split('\t')[3:] if ':' in f)
        if 'line' in fields and 'end' in fields:
            found.append((row.split('\t')[0], int(fields['line']), int(fields['end'])))
    return found


def finish(tool, problems, summary):
    """Prints the problems, one a line, and a last line; exits 1 if there are any."""
    for p in problems:
        print(p)
    print(f'{tool}: {summary}, ' + (f'{len(problems)} problems' if problems else 'nothing to complain about'))
    sys.exit(1 if problems else 0)
