"""ancient_browser, modern_browser, $msie: by User-Agents as they are, and as they pretend to be."""
from weirtest import Table, Verdicts, get

SAY = 'return 200 "[$modern_browser|$ancient_browser|$msie]";'
table = Table(f'''
    location /versions {{ modern_browser msie 5.5; modern_browser gecko 1.0.1; modern_browser opera 9.0; modern_browser safari 413; modern_browser konqueror 3.0;
        ancient_browser Links Lynx netscape4; {SAY} }}
    location /unlisted {{ modern_browser unlisted; ancient_browser Links; ancient_browser_value old; modern_browser_value new; {SAY} }}
    location /netscape {{ modern_browser unlisted; ancient_browser netscape4; {SAY} }}
    location /nothing {{ {SAY} }}
    location /several {{ modern_browser msie 7; modern_browser msie 5; modern_browser gecko .5; modern_browser safari 1..2; ancient_browser Links; {SAY}
        location /several/in {{ ancient_browser Lynx; {SAY} }} location /several/unlisted {{ modern_browser unlisted; {SAY} }}
        location /several/own {{ modern_browser msie 6; {SAY} }} }}
    location /if {{ modern_browser unlisted; ancient_browser "MSIE "; if ($ancient_browser) {{ rewrite ^ /nothing last; }} return 200 "new $msie"; }}
''')
AGENTS = (None, '', 'x') + tuple(f'Mozilla/4.0 (compatible; MSIE {v}; Windows)' for v in (
    '5.5', '5.0', '6', '6.0', '10.0', '5.5.1', '5.49', '4', '7', '1000.0', '99999.5', '4294967302', '99999999999999999999999', 'a', '.6', '6.', '5..9', '5.5.5.5.5', '')) + (
    'MSIE 6.0', 'x MSIE 6.0', 'Mozilla/4.0 (c; MSIE 6.0)', 'Mozilla/4.0 (compatible; MSIE 5.5', 'msie 6.0', 'Mozilla/4.0 (compatible; MSIE ', 'Mozilla/4.0 (compatible; MSIE 6.0; MSIE x)') + tuple(
    f'Mozilla/5.0 (X11; rv:{v}) Gecko' for v in ('1.0.1', '1.0.0', '1.0', '1.1', '109.0', '0.4', '.5', '0.6')) + (
    'rv:2.0', 'Mozilla/5.0 (rv:109.0)', 'Mozilla/5.0 (X11; rv:1.0.1', 'Opera/9.80 (X)', 'Opera 9.0', 'Opera/8.5', 'xOpera/9.80', 'Mozilla/4.0 (compatible; MSIE 6.0; X) Opera 8.0',
    'Mozilla/4.0 (compatible; MSIE 5.0; X) Opera 9.5', 'Opera', 'Opera/', 'Opera-9.9', 'Mozilla/5.0 (Mac) Safari/412', 'Mozilla/5.0 (Mac) Safari/413', 'Mozilla/5.0 (Mac) Safari/413.1',
    'Safari/500', 'Mozilla/5.0 (compatible; Konqueror/3.5)', 'Mozilla/5.0 (compatible; Konqueror/2.9)', 'Konqueror/3.5', 'Links (2.1)', 'Lynx/2.8', 'elinks', 'xLinksx',
    'Mozilla/5.0 (X11) Gecko/2010 Safari/100 rv:9', 'Mozilla/5.0 (Macintosh) AppleWebKit Version/3 Safari/500 Links', 'Mozilla/5.0 (Windows NT; Trident/7.0; rv:11.0) like Gecko') + tuple(
    'Mozilla/' + v for v in ('4.0', '4.7 [en]', '3.01 (X11; I)', '4.72 (compatible; X)', '5.0 (X)', '5.01 [en]', '2.01 [en]', '0.01 [en]', '4.72 [e', '4.72 [', '4.72 ', '4.72', '4.7',
                             '4.', '4', '', '4.72[xx', '4x72 [xx', '4.723 [en]', '1aaaaaaaaaaaaaaaaaaa', '4.7  [en]')) + ('xMozilla/4.72 [en]', 'mozilla/4.72 [en]')
for where in ('versions', 'unlisted', 'netscape', 'nothing', 'several', 'several/in', 'several/unlisted', 'several/own', 'if'):
    for agent in AGENTS:
        table.case(f'{where} {agent!r}', get(f'/{where}', *([] if agent is None else [f'User-Agent: {agent}'])))
test_browsers = table.tests()

verdicts = Verdicts()
verdicts.each(f'{t};' for t in (
    'modern_browser x 1', 'modern_browser msie x', 'modern_browser msie 1.2.3.4.5', 'modern_browser msie 1.', 'modern_browser msie 100000', 'modern_browser', 'modern_browser msie 1 2',
    'ancient_browser', 'ancient_browser a b c', 'ancient_browser a a', 'modern_browser unlisted 1', 'modern_browser msie ""', 'modern_browser_value', 'modern_browser_value a; modern_browser_value b',
    'modern_browser msie 1.2a', 'modern_browser MSIE 5', 'modern_browser msie .5', 'modern_browser msie 5..5', 'ancient_browser ""', 'modern_browser msie 5; modern_browser msie 6', 'ancient_browser_value a b'))
test_verdicts = verdicts.tests()
