"""What nginx and weir say: of a configuration (-t), and in the error log while they answer."""
import os
import re

from .client import Client
from .server import NGINX, WEIR, run


def errors_of_both(site, conf, requests, **how):
    """Lines of the error log that belong to connections, "level: message", of nginx and of weir. requests: bytes, each on a
    connection of its own, whose answer may be any or none. One worker: the lines of two have no order."""
    said = []
    for binary in (NGINX, WEIR):
        server = site.server(conf, binary, **{'workers': 1} | how)
        for data in requests:
            with Client(server.port) as client:
                client.send(data)
                client.shutdown_write()
                client.read_to_end()
        server.stop()
        own = {str(v): f'@{k}@' for k, v in server.names.items()}
        lines = [f'{e.level}: {e.message}' for e in server.errors() if e.connection]
        for value in sorted(own, key=len, reverse=True):
            lines = [line.replace(value, own[value]) for line in lines]
        said.append(lines)
    return said


def checks_of_both(site, http):
    """(accepted, first lines of what -t says without time, pid and path) of nginx and of weir, for the inside of http."""
    found = []
    for binary in (NGINX, WEIR):
        directory = site.directory_for(f't{len(os.listdir(site.directory))}')
        path = os.path.join(directory, 't.conf')
        with open(path, 'w', encoding='latin-1') as f:
            f.write(f'pid {directory}/pid;\nerror_log stderr notice;\nevents {{\n}}\nhttp {{\naccess_log off;\n'
                    f'client_body_temp_path {directory}/b;\nproxy_temp_path {directory}/p;\n{http}\n}}\n')
        done = run('-t', '-p', directory, '-c', path, binary=binary)
        lines = []
        for line in done.stderr.splitlines():
            m = re.search(r'\[(emerg|alert|crit|error|warn)\] (?:\d+#\d+: )?(.*)', line)
            if m and 'could not open error log' not in line and '"user" directive' not in line:
                lines.append(f'{m[1]}: {m[2]}'.replace(path, 't.conf'))
        found.append((done.returncode == 0, lines))
    return found
