"""geo: values by networks and by ranges."""
import pytest

from weirtest import Table, Verdicts, exchange, get

GEO = '''
geo $arg_a $net { default none; 10.0.0.0/8 ten; 10.1.0.0/16 one; 10.1.2.0/24 two; 10.1.2.3 three; 127.0.0.1 self; 192.168.0.0/16 home;
    192.168.5.0/24 gone; delete 192.168.5.0/24; 2001:db8::/32 doc; 2001:db8::1 docone; ::1 self6; include @root@/more.geo; 5.5.5.5 "";
    ::ffff:6.6.6.6 mapped; 255.255.255.255 last; }
geo $arg_a $nodefault { 10.0.0.0/8 ten; }
geo $arg_a $six { default none; ::/0 all6; 2001::/16 some; }
geo $arg_a $four { 0.0.0.0/0 all4; }
geo $arg_a $range { ranges; default none; 10.0.0.0-10.0.0.0 zero; 10.0.0.1-10.0.0.255 low; 10.0.1.0-10.3.255.255 middle; 10.0.2.0-10.0.2.9 cut;
    10.2.5.0-10.2.5.255 gone; delete 10.2.5.0-10.2.5.255; 0.0.0.0-0.0.0.5 first; 255.255.255.0-255.255.255.254 last; include @root@/more.range; }
geo $arg_a $rangenone { ranges; 10.0.0.0-10.0.0.255 some; }
geo $client { default other; 127.0.0.0/8 local; }
geo $proxied { default none; proxy 127.0.0.1; 1.0.0.0/8 one; 2.0.0.0/8 two; 127.0.0.0/8 local; 2001:db8::/32 doc; }
geo $recursive { default none; proxy 127.0.0.1; proxy 10.0.0.0/8; proxy 2001:db8:1::/48; proxy_recursive; 1.0.0.0/8 one; 2.0.0.0/8 two;
    10.0.0.0/8 ten; 127.0.0.0/8 local; 2001:db8::/32 doc; }
geo $arg_a $proxiedarg { default none; proxy 127.0.0.1; 1.0.0.0/8 one; 3.0.0.0/8 three; }
'''
SHOW = ('[$net] [$nodefault] [$six] [$four] [$range] [$rangenone] [$client] [$proxied] [$recursive] [$proxiedarg]')
table = Table('server { listen 127.0.0.1:@port@; location / { return 200 "' + SHOW + '"; } location /if { if ($client = local) { return 200 yes; } } }',
              http=GEO, files={'more.geo': '11.0.0.0/8 eleven;\n# x\n12.0.0.0/8 "twelve and more";\n', 'more.range': '20.0.0.0-20.0.0.5 twenty;\n'},
              log='request=$request|status=$status|net=$net|range=$range')
for a in ('10.0.0.0', '10.255.255.255', '10.1.0.1', '10.1.2.2', '10.1.2.3', '10.1.2.4', '10.2.0.0', '9.255.255.255', '11.1.1.1', '12.0.0.1',
          '127.0.0.1', '127.0.0.2', '192.168.5.5', '192.168.4.4', '2001:db8::1', '2001:db8::2', '2001:DB8:0::2', '2001:db9::', '::1', '::2', '5.5.5.5',
          '6.6.6.6', '::ffff:6.6.6.6', '::ffff:10.1.2.3', '255.255.255.255', 'nonsense', '', '1.2.3', '10.1.2.3:80', '[::1]', '10.1.2.03',
          '10.0.0.1', '10.0.0.255', '10.0.1.0', '10.0.1.255', '10.0.2.0', '10.0.2.9', '10.0.2.10', '10.3.255.255', '10.4.0.0', '10.2.5.7', '0.0.0.0',
          '0.0.0.5', '0.0.0.6', '20.0.0.5', '20.0.0.6', '::ffff:10.0.2.5', '10.1.2.3/32', ' 10.1.2.3', '10.1.2.3%20', '256.1.1.1', '-1', '3.3.3.3'):
    table.case(f'a={a}', get(f'/?a={a.replace(" ", "%20")}'))
for forwarded in ('1.1.1.1', '1.1.1.1, 2.2.2.2', '2.2.2.2, 10.0.0.1', '2.2.2.2, 10.0.0.1, 10.0.0.2', '10.0.0.9, 10.0.0.1', 'x, 10.0.0.1', '1.1.1.1, x', '',
                  ',', '1.1.1.1:80', '[2001:db8::1]:99', '2001:db8::5', '1.1.1.1,2001:db8:1::9', '1.1.1.1 ', ' 1.1.1.1', '1.1.1.1,,', '1.1.1.1;2.2.2.2',
                  '127.0.0.1', '1.1.1.1:0', '1.1.1.1:99999', '[1.1.1.1]', '[1.1.1.1]:80', '[::1', 'unix:', '1.1.1.1, 127.0.0.1, 10.1.1.1'):
    table.case(f'forwarded {forwarded!r}', get('/?a=127.0.0.1', f'X-Forwarded-For: {forwarded}'))
    table.case(f'forwarded {forwarded!r} from another', get('/?a=3.3.3.3', f'X-Forwarded-For: {forwarded}'))
table.case('two fields', get('/?a=127.0.0.1', 'X-Forwarded-For: 1.1.1.1', 'X-Forwarded-For: 10.0.0.1'))
table.case('three fields', get('/?a=127.0.0.1', 'X-Forwarded-For: 1.1.1.1', 'x-forwarded-for: 2.2.2.2, 10.0.0.3', 'X-FORWARDED-FOR: 10.0.0.1'))
table.case('if', get('/if'))
test_geo = table.tests()

BLOCKS = ('', 'default;', 'default a; default b;', '1.2.3.4/24 a;', '1.2.3.4 a; 1.2.3.4 b;', '1.2.3.4 a; 1.2.3.4 a;', '1.2.3.400 a;', '1.2.3.4/33 a;',
          '::1 a; ::/0 b; fe80::1/10 c;', '[::1] a;', 'ranges; 1.2.3.4-1.2.3.5 a;', '1.2.3.4 a; ranges;', 'ranges; 1.2.3.4 a;',
          'ranges; 1.2.3.5-1.2.3.4 a;', 'ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.5-1.2.3.6 b;', 'ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.4-1.2.3.9 b;',
          'ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.1-1.2.3.5 b;', 'ranges; ::1-::2 b;', 'ranges; 1.2.3.0/24 b;', 'delete 1.2.3.4;', '1.2.3.4 a; delete 1.2.3.4;',
          'delete;', 'delete a;', 'ranges; delete 1.2.3.4-1.2.3.5;', 'ranges; 1.2.3.4-1.2.3.5 a; delete 1.2.3.4-1.2.3.5;',
          'ranges; 1.2.3.4-1.2.3.8 a; delete 1.2.3.5-1.2.3.6;', 'proxy 1.2.3.4; proxy 10.0.0.0/8; proxy ::1; proxy_recursive;', 'proxy a;', 'proxy 1.2.3.4/24;',
          'proxy;', 'proxy_recursive on;', 'foo;', 'ranges a;', 'a b c;', 'default $uri; 1.2.3.4 $nope;', '1 a;', '127.1 a;', '0.0.0.0/0 a;', '1.2.3.4/0 a;',
          'a { }', '1.2.3.4/255.255.255.0 a;', '1.2.3.4/ a;', 'ranges; 1.2.3.4- a;', 'ranges; -1.2.3.4 a;', 'ranges; default a; default b;',
          'ranges; delete default;', 'delete default;', 'default a; 0.0.0.0/0 c;', 'default a; delete 0.0.0.0/0;',
          'ranges; 10.0.0.0-10.0.0.9 a; 10.0.0.5-10.0.0.6 b; 10.0.0.4-10.0.0.7 c;', 'ranges; 10.0.0.0-10.1.255.255 a; 10.1.0.0-10.2.5.5 b;',
          'ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.8-1.2.3.12 b;', 'ranges; ranges;', 'proxy 1.1.1.1; ranges;', '1.2.3.0/24 a; 1.2.3.99/24 b;',
          '1.2.3.4 "";', 'unix: a;', 'volatile on;')
WHOLE = ('geo x { }', 'geo $a $x { }', 'geo a $x { }', 'geo $uri { }', 'geo $x y z { }', 'geo { }', 'server { geo $x { } }', 'geo $x { 1.1.1.1 a; } geo $x { 1.1.1.1 b; }')


verdicts = Verdicts('events {} http { access_log off; @here@ }')
verdicts.each([*(f'geo $x {{ {b} }}' for b in BLOCKS), *WHOLE])
test_configuration = verdicts.tests()


@pytest.mark.weir_only('since nginx 1.29.3')
def test_volatile(site):
    server = site.server('server { listen 127.0.0.1:@port@; set $a 1.1.1.1; set $x "$v $k"; set $a 2.2.2.2; return 200 "$x $v $k"; }',
                         http='geo $a $v { volatile; 1.1.1.1 one; 2.2.2.2 two; } geo $a $k { 1.1.1.1 one; 2.2.2.2 two; }')
    assert exchange(server.port, get())[0].text == 'one one two one'


def test_two_hundred_thousand_ranges(site):
    """A database of ranges, not in order, is read quickly and answers as a small one does."""
    lines = [f'{a}.{b}.{c}.0-{a}.{b}.{c}.255 v{a}.{b}.{c};\n' for a in range(1, 5) for b in range(0, 256) for c in range(0, 256, 2)]
    lines.reverse()
    site.file('large.geo', ''.join(lines))
    server = site.server('server { listen 127.0.0.1:@port@; return 200 "$x"; }', http='geo $arg_a $x { ranges; default none; include @root@/large.geo; }')
    for a, want in (('1.0.0.0', 'v1.0.0'), ('3.77.4.9', 'v3.77.4'), ('4.255.254.255', 'v4.255.254'), ('4.255.255.0', 'none'), ('5.0.0.0', 'none')):
        assert exchange(server.port, get(f'/?a={a}'))[0].text == want
