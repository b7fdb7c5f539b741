"""split_clients: shares of requests by nginx's hash."""
from weirtest import Table, Verdicts, get

table = Table('server { listen 127.0.0.1:@port@; return 200 "[$half] [$thirds] [$rare] [$part] [$const]"; }', http='''
split_clients $arg_k $half { 50% a; * b; }
split_clients "${arg_k}salt" $thirds { 33.33% one; 33.33% two; 33.34% three; }
split_clients $arg_k$arg_v $rare { 0.01% never; 0.5% .seldom; 99% often; * "the rest"; }
split_clients $arg_k $part { 10% ten; 20% twenty; }
split_clients fixed $const { 20% $uri; * other; }
''', log='request=$request|status=$status|part=$part')
for i in range(150):
    table.case(f'k={i}', get(f'/?k=user-{i}&v={i % 7}'))
for i in range(20):
    table.case(f'length {i}', get('/?k=' + 'x' * i))
test_split = table.tests()


verdicts = Verdicts('events {} http { split_clients $uri $x { @here@ } }')
verdicts.each((
    '', '50% a; 51% b;', 'x b;', '0% a;', '0.01% a;', '0.001% a;', '.5% a;', '5.% a;', '50 a;', '* a; 5% b;', '5% $uri; * $nope;',
    '33.33% a; 33.33% b; 33.34% c;', '% a;', '1e1% a;', '100% a; * b; * c;', '5% { }', '-5% a;', '101% a;', '"" a;', '99.99% a; 0.02% b;', '1.5.5% a;',
    '99999999999999999999% a;'))
test_configuration = verdicts.tests()
