"""proxy_redirect: Location and Refresh on their way back."""
from weirtest import Table, get, response

redirects = Table('''
    location /default/ { proxy_pass http://@backend@/base/; }
    location /bare/ { proxy_pass http://@backend@; }
    location /group/ { proxy_pass http://group/base/; }
    location /off/ { proxy_pass http://@backend@/base/; proxy_redirect off; }
    location /explicit/ { proxy_pass http://@backend@/base/; proxy_redirect default; }
    location /custom/ { proxy_pass http://@backend@; proxy_redirect http://inner.test/ /outer/; }
    location /two/ { proxy_pass http://@backend@; proxy_redirect http://one.test/ /one/; proxy_redirect http://two.test/ /two/; }
    location /vars/ { proxy_pass http://@backend@; proxy_redirect http://inner.test/ $scheme://$host/v/; }
    location /varleft/ { proxy_pass http://@backend@; proxy_redirect http://$arg_h/ /left/; }
    location /regex/ { proxy_pass http://@backend@; proxy_redirect ~^http://([^:/]+)(:\\d+)?/(.*)$ http://$host/$1/$3; }
    location /nocase/ { proxy_pass http://@backend@; proxy_redirect ~*^HTTP://INNER\\.test/(?<rest>.*)$ /r/$rest; }
    location /scheme/ { proxy_pass http://@backend@; proxy_redirect http:// https://; }
    location /path/ { proxy_pass http://@backend@; proxy_redirect /inner/ /outer/; }
    location /defaultplus/ { proxy_pass http://@backend@/base/; proxy_redirect default; proxy_redirect http://two.test/ /two/; }
    location /uservar/ { proxy_pass http://@backend@$request_uri; }
    location ~ ^/re/ { proxy_pass http://@backend@; }
    location /unix/ { proxy_pass http://@unix@:/base/; }
    location /root/ { proxy_pass http://@backend@/; }
    location / { proxy_redirect http://inherited.test/ /got/; location /inherited/ { proxy_pass http://@backend@; }
                 location /notinherited/ { proxy_pass http://@backend@; proxy_redirect http://x.test/ /x/; } }
''', http='proxy_http_version 1.1; upstream group { server @backend@; }')
LOCATIONS = ('http://inner.test/a?b=c', 'http://inner.test', 'HTTP://INNER.test/a', '/inner/x', '/base/x', 'x', '',
             'http://one.test/q', 'http://two.test/q', 'https://inner.test/a', 'http://group/base/x', 'http://group/other',
             'http://inner.test:8080/y', 'http://inherited.test/z', '//inner.test/z', 'http://localhost/base/x')
for path in ('default', 'bare', 'group', 'off', 'explicit', 'custom', 'two', 'vars', 'regex', 'nocase', 'scheme', 'path',
             'defaultplus', 'uservar', 're', 'unix', 'root', 'inherited', 'notinherited'):
    for where in LOCATIONS:
        redirects.case(f'{path}: {where}', get(f'/{path}/'), 302, response(b'', f'Location: {where}', status='302 Found'))
redirects.case('variable on the left', get('/varleft/?h=inner.test'), 301,
               response(b'', 'Location: http://inner.test/a', status='301 Moved'))


def of_backend(path):
    """A Location that names the back end itself, whose port is known only when it runs."""
    return lambda q: response(b'', f'Location: http://{q.header("Host")}{path}', status='302 Found')


for path in ('default', 'bare', 'off', 'explicit', 'custom', 'scheme', 'defaultplus', 'root', 're', 'unix', 'group'):
    for where in ('/base/x?y', '/base', '/', '/other', ''):
        redirects.case(f'{path}: own address {where}', get(f'/{path}/'), 302, of_backend(where))
redirects.case('Location in a 201', get('/custom/'), 201, response(b'', 'Location: http://inner.test/a', status='201 Created'))
redirects.case('Location in a 200', get('/custom/'), 200, response(b'', 'Location: http://inner.test/a'))
redirects.case('Refresh', get('/custom/'), 200, response(b'', 'Refresh: 5; url=http://inner.test/a'))
redirects.case('Refresh in capitals', get('/custom/'), 200, response(b'', 'Refresh: 5; URL=http://inner.test/a'))
redirects.case('Refresh without url', get('/custom/'), 200, response(b'', 'Refresh: 5'))
redirects.case('Content-Location is left alone', get('/custom/'), 200, response(b'', 'Content-Location: http://inner.test/a'))
test_redirects = redirects.tests()
