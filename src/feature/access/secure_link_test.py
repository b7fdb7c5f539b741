"""secure_link in both forms."""
import base64
import hashlib

from weirtest import ANY, Table, Verdicts, get


def link(text):
    return base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).decode().rstrip('=')


def old(name, secret='secret'):
    return hashlib.md5((name + secret).encode()).hexdigest()


SAY = 'return 200 "[$secure_link] [$secure_link_expires] [$uri]";'
table = Table(f'''
    location /s/ {{ secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri secret"; {SAY} }}
    location /plain/ {{ secure_link $arg_md5; secure_link_md5 "$uri secret"; {SAY} }}
    location /fixed/ {{ secure_link $arg_link; secure_link_md5 fixed; {SAY} }}
    location /if/ {{ secure_link $arg_md5; secure_link_md5 "$uri secret"; if ($secure_link = "") {{ return 403; }} if ($secure_link = "0") {{ return 410; }} return 200 ok; }}
    location /half/ {{ secure_link $arg_md5; {SAY} }}
    location /otherhalf/ {{ secure_link_md5 x; {SAY} }}
    location /old/ {{ secure_link_secret secret; if ($secure_link = "") {{ return 403; }} rewrite ^ /got/$secure_link; }}
    location /oldsay/ {{ secure_link_secret secret; {SAY} }}
    location /got/ {{ internal; {SAY} }}
    location /unset/ {{ {SAY} }}
''', log='request=$request|status=$status|link=$secure_link|expires=$secure_link_expires')
far, past = '4102444800', '1000000000'
for name, target in {
        'right': f'/s/x?md5={link(far + "/s/x secret")}&expires={far}', 'expired': f'/s/x?md5={link(past + "/s/x secret")}&expires={past}',
        'wrong': f'/s/x?md5={link("wrong")}&expires={far}', 'other uri': f'/s/y?md5={link(far + "/s/x secret")}&expires={far}',
        'no expiry': f'/s/x?md5={link("/s/x secret")}', 'expiry 0': f'/s/x?md5={link("0/s/x secret")}&expires=0', 'expiry text': f'/s/x?md5={link("x/s/x secret")}&expires=x',
        'negative': f'/s/x?md5={link("-1/s/x secret")}&expires=-1', 'huge': f'/s/x?md5={link("99999999999999999999/s/x secret")}&expires=99999999999999999999',
        'large': f'/s/x?md5={link("9223372036854775807/s/x secret")}&expires=9223372036854775807', 'two commas': f'/s/x?md5={link(far + "/s/x secret")}&expires={far},5',
        'nothing': '/s/x', 'empty': '/s/x?md5=&expires=', 'plain right': f'/plain/x?md5={link("/plain/x secret")}', 'plain padded': f'/plain/x?md5={link("/plain/x secret")}==',
        'plain cut': f'/plain/x?md5={link("/plain/x secret")[:-1]}', 'plain long': f'/plain/x?md5={link("/plain/x secret")}AAA', 'plain bad sign': '/plain/x?md5=****************abcdef',
        'plain percent': f'/plain/x?md5=%41{link("/plain/x secret")[1:]}', 'plain one less': f'/plain/x?md5={link("/plain/x secret")}=',
        'plain other bits': '/plain/x?md5=' + link('/plain/x secret')[:-1] + chr(ord(link('/plain/x secret')[-1]) + 1),
        'fixed': f'/fixed/x?link={link("fixed")}', 'fixed with time': f'/fixed/x?link={link("fixed")},{far}', 'fixed expired': f'/fixed/x?link={link("fixed")},{past}',
        'fixed comma': f'/fixed/x?link={link("fixed")},', 'fixed 0': f'/fixed/x?link={link("fixed")},0', 'if right': f'/if/a?md5={link("/if/a secret")}', 'if wrong': '/if/a?md5=x',
        'half': '/half/x?md5=x', 'other half': '/otherhalf/x', 'unset': '/unset/x', 'old right': f'/old/{old("file")}/file', 'old path': f'/old/{old("a/b/c")}/a/b/c',
        'old query': f'/old/{old("file?x=1")}/file?x=1', 'old wrong': f'/old/{old("other")}/file', 'old short': f'/old/{old("file")[:-1]}/file', 'old upper': f'/old/{old("file").upper()}/file',
        'old bad': f'/old/{"g" * 32}/file', 'old none': f'/old/{old("")}/', 'old no slash': f'/old/{old("")}', 'old say': f'/oldsay/{old("file")}/file', 'old root': '/oldsay/', 'old bare': '/oldsay',
        'old encoded': f'/oldsay/{old("a%20b")}/a%20b', 'old deep': f'/oldsay/x/{old("file")}/file', 'old double slash': f'/oldsay//{old("file")}/file'}.items():
    table.case(name, get(target), ANY)
test_secure_link = table.tests()


verdicts = Verdicts('events {} http { access_log off; server { listen unix:@dir@/s; location / { @here@ } } }')
verdicts.each((
    'secure_link a;', 'secure_link_md5 a;', 'secure_link_secret a;', 'secure_link a; secure_link_secret b;', 'secure_link_secret b; secure_link_md5 a;', 'secure_link a; secure_link b;',
    'secure_link_md5 $nope;', 'secure_link_secret $uri;', 'secure_link;', 'secure_link_secret "";'))
test_configuration = verdicts.tests()
