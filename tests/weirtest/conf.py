"""Makes whole configurations of fragments: what a test writes is what it is about."""
import re

from .server import is_nginx

_MAIN = {'events', 'http', 'user', 'worker_processes', 'pid', 'daemon', 'master_process'}
_HTTP = {'server', 'upstream', 'map', 'geo', 'split_clients', 'log_format', 'types', 'limit_req_zone', 'limit_conn_zone',
         'proxy_cache_path'}


def _tokens(text):
    for m in re.finditer(r'''#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|(?:\\.|\$\{|[^\s{};])+''', text):
        if not m[0].startswith('#'):
            yield m[0]


def outermost(text):
    """Names of the outermost directives and blocks of a configuration."""
    names, depth, fresh = [], 0, True
    for token in _tokens(text):
        if token == '{':
            depth, fresh = depth + 1, True
        elif token == '}':
            depth, fresh = depth - 1, True
        elif token == ';':
            fresh = True
        elif fresh:
            if depth == 0:
                names.append(token)
            fresh = False
    return names


def kind(text):
    """main, http or server: the place that a fragment is for."""
    names = set(outermost(text))
    if names & {'http', 'events'}:
        return 'main'
    if names & _HTTP - {'types', 'map'}:
        return 'http'
    return 'server'


def paths(directory, binary):
    """The directives that keep all files of a server in its directory."""
    return [f'{name}_temp_path {directory}/{name}_temp;' for name in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')]


def complete(text, directory, port, binary, http='', main='', workers=2):
    """A whole configuration around text. http, main: more directives for these blocks."""
    place = kind(text)
    if place == 'server':
        text = f'server {{\n    listen 127.0.0.1:{port};\n{text}\n}}\n'
    own = '\n'.join(paths(directory, binary))
    if place != 'main':
        text = f'http {{\n{own}\n{http}\n{text}\n}}\n'
    else:
        text = re.sub(r'(?m)^(\s*http\s*\{)', lambda m: f'{m[1]}\n{own}\n{http}\n', text, count=1)
    names = set(outermost(text)) | set(outermost(main))
    lines = [main]
    if 'daemon' not in names:
        lines.append('daemon off;')
    if 'worker_processes' not in names:
        lines.append(f'worker_processes {workers};')
    if 'pid' not in names:
        lines.append(f'pid {directory}/pid;')
    if 'error_log' not in names:
        lines.append(f'error_log {directory}/error.log info;')
    if 'access_log' not in re.findall(r'\baccess_log\b', text):
        text = re.sub(r'(?m)^(\s*http\s*\{)', lambda m: f'{m[1]}\naccess_log {directory}/access.log;\n', text, count=1)
    if 'events' not in names and '# events here' not in main:
        lines.append('events {\n}')
    return '\n'.join(line for line in lines if line) + '\n' + text
