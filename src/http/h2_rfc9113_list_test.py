"""Every MUST of RFC 9113 that concerns a server, a client or an intermediary as weir is, by section, and what proves it: cases of
h2_rfc9113_test.py and h2_rfc9113_messages_test.py by their names, other tests as file::name. What no peer can observe, or what is for
others than weir, says why. Held against the text of the RFC (sections 3 to 10, of March 2022), sentence by sentence."""
import ast
import os
import re

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLIENT, SERVER, TLS = 'src/upstream/h2_client_test.py::', 'src/http/h2_server_test.py::', 'src/http/h2_tls_test.py::'
TUNNEL, SSL, UNIT = 'src/upstream/tunnel_stream_test.py::', 'src/feature/gateway/proxy_ssl_test.py::', 'src/wire/http2_test.c::'


class unseen(str):
    """Why nothing on the wire can tell."""


class theirs(str):
    """Whose it is."""


MUSTS = [
    # section, what, proofs
    ('3.2', '"h2c" is not selected by ALPN, nor sent by a client', TLS + 'test_what_alpn_chooses', CLIENT + 'test_over_tls_it_is_negotiated'),
    ('3.2', 'both sides send their prefaces after the TLS handshake', TLS + 'test_over_tls', CLIENT + 'test_over_tls_it_is_negotiated'),
    ('3.3', 'over TLS the protocol is negotiated', TLS + 'test_what_alpn_chooses', CLIENT + 'test_over_tls_it_is_negotiated'),
    ('3.4', 'the client preface is followed by SETTINGS', 'settings_must_follow_the_preface', CLIENT + 'test_a_request_and_its_answer'),
    ('3.4', 'SETTINGS is the first frame of the server', 'the_server_sends_settings_first'),
    ('3.4', 'SETTINGS of the preface are acknowledged', 'each_settings_frame_is_acknowledged', CLIENT + 'test_frames_are_answered_while_a_client_is_slow'),
    ('3.4', 'an invalid preface is a connection error', 'a_wrong_preface_is_no_http2', CLIENT + 'test_a_back_end_must_begin_with_settings'),
    ('4.1', 'frames of unknown types are discarded', 'unknown_types_are_ignored'),
    ('4.1', 'unused flags are ignored and sent as zero', 'undefined_flags_are_ignored', 'what_is_reserved_is_sent_as_zero', CLIENT + 'test_what_is_reserved_is_sent_as_zero'),
    ('4.1', 'the reserved bit is ignored and sent as zero', 'the_reserved_bit_is_ignored', 'what_is_reserved_is_sent_as_zero', CLIENT + 'test_what_is_reserved_is_sent_as_zero'),
    ('4.2', 'frames of 2^14 bytes are taken', 'a_frame_of_the_maximal_size_is_taken'),
    ('4.2', 'no frame is larger than the peer takes', 'frames_are_as_large_as_the_client_takes', CLIENT + 'test_a_long_head_is_a_row_of_frames'),
    ('4.2', 'a frame that is too large or too small is FRAME_SIZE_ERROR', 'a_larger_data_frame', 'a_larger_headers_frame',
     'a_larger_frame_of_an_unknown_type', 'priority_of_another_length', 'settings_of_another_length', 'padded_headers_without_a_length',
     'headers_too_small_for_their_priority', 'padded_data_without_a_length', 'goaway_of_another_length', CLIENT + 'test_broken_connections'),
    ('4.2', 'one that changes the state of the connection is a connection error', 'a_larger_headers_frame', 'ping_of_another_length'),
    ('4.3', 'a field block is a contiguous sequence of frames', 'a_long_head_is_a_row_of_frames',
     CLIENT + 'test_a_long_head_is_a_row_of_frames'),
    ('4.3', 'blocks are decoded even where they are discarded', 'the_table_stays_in_step_over_refused_streams', 'the_table_stays_in_step_over_a_stream_that_we_reset',
     'the_table_stays_in_step_over_streams_above_the_limit', CLIENT + 'test_cancelled_streams_harm_no_others'),
    ('4.3', 'a block that does not decode is COMPRESSION_ERROR', 'a_block_that_does_not_decode', 'an_index_that_is_not_there', 'a_malformed_block_that_does_not_decode',
     CLIENT + 'test_broken_connections'),
    ('4.3.1', 'the table is as large as was acknowledged at most', 'a_table_larger_than_allowed', 'our_table_follows_the_clients_settings'),
    ('4.3.1', 'behind a reduction that we acknowledged, our next block begins with a size update', 'our_table_follows_the_clients_settings',
     'the_smallest_table_between_two_blocks_is_told', CLIENT + 'test_frames_are_answered_while_a_client_is_slow'),
    ('4.3.1', 'a block behind an acknowledged reduction begins with a size update', unseen('weir never reduces the table of its decoder')),
    ('5.1', 'idle: other frames than HEADERS and PRIORITY are PROTOCOL_ERROR', 'data_on_an_idle_stream', 'rst_stream_on_an_idle_stream',
     'window_update_on_an_idle_stream', 'continuation_on_an_idle_stream', 'priority_on_an_idle_stream_is_allowed',
     CLIENT + 'test_broken_connections'),
    ('5.1', 'idle: HEADERS on a stream of the server are PROTOCOL_ERROR', 'even_stream_identifiers'),
    ('5.1', 'reserved streams', theirs('servers that push, and their clients')),
    ('5.1', 'half-closed (remote): other frames are STREAM_CLOSED', 'data_on_a_half_closed_stream', 'headers_on_a_half_closed_stream',
     'continuation_on_a_half_closed_stream'),
    ('5.1', 'closed: nothing but PRIORITY is sent', 'nothing_is_sent_after_a_reset', 'nothing_is_sent_on_a_closed_stream',
     CLIENT + 'test_nothing_is_sent_behind_a_reset_of_the_back_end'),
    ('5.1', 'closed: frames behind END_STREAM are errors', 'data_on_a_closed_stream', 'headers_on_a_closed_stream'),
    ('5.1', 'closed by our reset: what comes is processed as far as it must and discarded', 'what_comes_on_a_stream_that_we_reset_is_ignored',
     'what_comes_on_a_stream_that_we_reset_long_ago_is_ignored', CLIENT + 'test_cancelled_streams_harm_no_others'),
    ('5.1.1', 'clients open odd streams, servers even ones', 'even_stream_identifiers', 'what_is_reserved_is_sent_as_zero', CLIENT + 'test_what_is_reserved_is_sent_as_zero'),
    ('5.1.1', 'identifiers grow', 'a_lower_stream_identifier', CLIENT + 'test_many_requests_share_a_connection'),
    ('5.1.1', 'an unexpected identifier is PROTOCOL_ERROR', 'even_stream_identifiers', 'stream_zero', 'a_lower_stream_identifier',
     CLIENT + 'test_broken_connections'),
    ('5.1.2', "the peer's limit of streams is not exceeded", CLIENT + 'test_the_peers_limit_of_streams'),
    ('5.1.2', 'a stream above our limit is PROTOCOL_ERROR or REFUSED_STREAM', 'more_streams_than_allowed_are_refused'),
    ('5.2.1', 'flow control of the receiver is respected', 'the_servers_data_waits_for_the_streams_window',
     'the_servers_data_waits_for_the_connections_window', CLIENT + 'test_windows_of_the_back_end_are_honoured'),
    ('5.2.2', 'frames are read and processed as soon as they come', 'frames_are_handled_while_a_stream_waits', CLIENT + 'test_frames_are_answered_while_a_client_is_slow'),
    ('5.4', 'a frame that causes a connection error has that reported', 'a_connection_error_counts_more_than_one_of_the_stream',
     'a_malformed_block_that_does_not_decode'),
    ('5.4.1', 'the connection is closed behind GOAWAY', 'goaway_comes_before_the_connection_closes'),
    ('5.4.2', 'RST_STREAM is not answered with RST_STREAM', 'a_reset_is_not_answered_with_a_reset'),
    ('5.4.2', 'who sent RST_STREAM can take frames that were on their way', 'what_comes_on_a_stream_that_we_reset_is_ignored'),
    ('5.4.3', 'streams of a lost connection are not repeated by themselves', CLIENT + 'test_what_may_have_been_done_is_not_repeated'),
    ('5.5', 'unknown values of extensible elements are ignored', 'unknown_types_are_ignored', 'unknown_settings_are_ignored',
     'an_unknown_error_code_means_nothing'),
    ('5.5', 'extension frames inside a field block are PROTOCOL_ERROR', 'unknown_frames_inside_a_header_block'),
    ('5.5', 'extensions that change the protocol are negotiated', SERVER + 'test_a_priority_may_change',
     'src/upstream/tunnel_stream_test.py::test_settings_say_so'),
    ('5.5', 'a setting that negotiates an extension is off at first', theirs('who defines the extension')),
    ('6.1', 'padding is sent as zero', unseen('weir sends no padding: what_is_reserved_is_sent_as_zero sees no PADDED')),
    ('6.1', 'DATA on stream 0 is PROTOCOL_ERROR', 'data_on_stream_zero'),
    ('6.1', 'DATA on a stream that is not open is STREAM_CLOSED', 'data_on_a_half_closed_stream', 'data_on_a_closed_stream',
     'data_behind_the_clients_own_reset'),
    ('6.1', 'padding as long as the frame is PROTOCOL_ERROR', 'data_with_too_much_padding'),
    ('6.2', 'HEADERS without END_HEADERS is followed by CONTINUATION of its stream', 'headers_without_end_are_not_followed_by_others',
     'headers_without_end_are_not_followed_by_another_stream'),
    ('6.2', 'HEADERS belongs to a stream', 'stream_zero'),
    ('6.2', 'padding that leaves no room for the block is PROTOCOL_ERROR', 'headers_with_too_much_padding'),
    ('6.3', 'PRIORITY on stream 0 is PROTOCOL_ERROR', 'priority_on_stream_zero'),
    ('6.3', 'PRIORITY of another length is a stream error FRAME_SIZE_ERROR', 'priority_of_another_length'),
    ('6.4', 'behind a RST_STREAM nothing more is sent on the stream', 'nothing_is_sent_after_a_reset', 'no_head_is_sent_after_a_reset',
     CLIENT + 'test_nothing_is_sent_behind_a_reset_of_the_back_end'),
    ('6.4', 'who sent RST_STREAM can take frames that were on their way', 'what_comes_on_a_stream_that_we_reset_long_ago_is_ignored',
     CLIENT + 'test_cancelled_streams_harm_no_others'),
    ('6.4', 'RST_STREAM on stream 0 is PROTOCOL_ERROR', 'rst_stream_on_stream_zero'),
    ('6.4', 'RST_STREAM is not sent on idle streams, and there a PROTOCOL_ERROR', 'rst_stream_on_an_idle_stream'),
    ('6.4', 'RST_STREAM of another length is FRAME_SIZE_ERROR', 'rst_stream_of_another_length'),
    ('6.5', 'SETTINGS is sent at the start by both', 'the_server_sends_settings_first', CLIENT + 'test_a_request_and_its_answer'),
    ('6.5', 'all settings that are defined are supported', 'our_table_follows_the_clients_settings', 'enable_push_of_two', CLIENT + 'test_the_peers_limit_of_streams',
     'initial_windows_apply_to_open_streams', 'frames_are_as_large_as_the_client_takes'),
    ('6.5', 'an acknowledgement has no payload', 'settings_ack_with_a_payload', 'each_settings_frame_is_acknowledged'),
    ('6.5', 'SETTINGS on a stream is PROTOCOL_ERROR', 'settings_on_a_stream'),
    ('6.5', 'SETTINGS of another length is FRAME_SIZE_ERROR', 'settings_of_another_length', CLIENT + 'test_broken_connections'),
    ('6.5', 'SETTINGS that are badly formed are a connection error', 'enable_push_of_two', 'a_frame_size_below_the_minimum'),
    ('6.5.2', 'ENABLE_PUSH is 0 or 1', 'enable_push_of_two'),
    ('6.5.2', 'a server does not send PUSH_PROMISE where it is 0, nor ENABLE_PUSH 1', 'no_push', 'the_servers_settings_are_legal'),
    ('6.5.2', 'a client treats ENABLE_PUSH 1 as PROTOCOL_ERROR', CLIENT + 'test_broken_connections'),
    ('6.5.2', 'MAX_FRAME_SIZE is sent within its range', 'the_servers_settings_are_legal', CLIENT + 'test_what_is_reserved_is_sent_as_zero'),
    ('6.5.2', 'INITIAL_WINDOW_SIZE above the maximum is FLOW_CONTROL_ERROR', 'an_initial_window_above_the_maximum'),
    ('6.5.2', 'MAX_FRAME_SIZE outside of its range is PROTOCOL_ERROR', 'a_frame_size_below_the_minimum', 'a_frame_size_above_the_maximum'),
    ('6.5.2', 'unknown settings are ignored', 'unknown_settings_are_ignored'),
    ('6.5.3', 'values are processed in order', 'the_last_of_equal_settings_counts'),
    ('6.5.3', 'SETTINGS is applied and acknowledged at once', 'settings_are_acknowledged', 'each_settings_frame_is_acknowledged',
     CLIENT + 'test_frames_are_answered_while_a_client_is_slow'),
    ('6.6', 'PUSH_PROMISE is sent by servers only and where it is enabled', 'no_push', 'push_promise_from_a_client'),
    ('6.6', 'a client that disabled it treats it as PROTOCOL_ERROR', CLIENT + 'test_broken_connections'),
    ('6.6', 'what is promised, and where', theirs('servers that push, and clients that let them: test_broken_connections sees that weir does not')),
    ('6.7', 'PING is answered with its payload', 'ping_is_answered_with_its_payload', CLIENT + 'test_frames_are_answered_while_a_client_is_slow'),
    ('6.7', 'an answer to PING is not answered', 'a_ping_with_ack_is_not_answered', CLIENT + 'test_frames_are_answered_while_a_client_is_slow'),
    ('6.7', 'PING has 8 bytes', unseen('weir sends none by itself that has not, and answers with what came')),
    ('6.7', 'PING on a stream is PROTOCOL_ERROR', 'ping_on_a_stream'),
    ('6.7', 'PING of another length is FRAME_SIZE_ERROR', 'ping_of_another_length'),
    ('6.8', 'GOAWAY on a stream is PROTOCOL_ERROR', 'goaway_on_a_stream'),
    ('6.8', 'no streams are opened behind a GOAWAY', CLIENT + 'test_no_stream_is_opened_behind_goaway'),
    ('6.8', 'the last stream of GOAWAY does not grow', SERVER + 'test_the_last_stream_of_goaway_never_grows'),
    ('6.8', 'blocks behind GOAWAY are decoded', SERVER + 'test_blocks_behind_goaway_are_decoded'),
    ('6.8', 'DATA behind GOAWAY counts for the window', UNIT + 'http2_data_counts_wherever_it_goes'),
    ('6.8', 'debug data of GOAWAY is kept safe', unseen('weir neither logs nor keeps it')),
    ('6.9', 'frames that need no window are taken and sent without one', 'frames_are_handled_while_a_stream_waits', 'a_window_may_become_negative'),
    ('6.9', 'an increment of 0 is an error of the stream or the connection', 'a_window_update_of_zero_on_a_stream',
     'a_window_update_of_zero_on_the_connection'),
    ('6.9', 'WINDOW_UPDATE of another length is FRAME_SIZE_ERROR', 'a_window_update_of_another_length'),
    ('6.9', 'WINDOW_UPDATE on half-closed and closed streams is no error', 'window_update_and_reset_on_a_closed_stream_are_ignored'),
    ('6.9', 'all of a DATA frame counts, its padding too', 'padding_counts_for_windows'),
    ('6.9', 'DATA counts for the window of the connection even where it is in error', UNIT + 'http2_data_counts_wherever_it_goes'),
    ('6.9.1', 'nothing is sent above a window', 'the_servers_data_waits_for_the_streams_window', 'the_servers_data_waits_for_the_connections_window'),
    ('6.9.1', 'a window above 2^31-1 is FLOW_CONTROL_ERROR', 'a_window_of_the_connection_above_the_maximum',
     'a_window_of_a_stream_above_the_maximum'),
    ('6.9.2', 'a changed initial window applies to open streams', 'initial_windows_apply_to_open_streams'),
    ('6.9.2', 'a negative window is kept, and nothing sent', 'a_window_may_become_negative'),
    ('6.9.2', 'a change that makes a window too large is FLOW_CONTROL_ERROR', 'an_initial_window_that_makes_another_too_large'),
    ('6.9.3', 'who lowers a window takes what was sent before that was known', SERVER + 'test_a_small_window_is_not_known_before_it_is_acknowledged'),
    ('6.10', 'CONTINUATION without END_HEADERS is followed by CONTINUATION of its stream', 'continuation_without_end_is_not_followed_by_others'),
    ('6.10', 'CONTINUATION follows HEADERS or CONTINUATION of its stream', 'continuations', 'continuation_on_another_stream',
     'continuation_behind_end_headers', 'continuation_on_an_idle_stream'),
    ('6.10', 'CONTINUATION on stream 0 is PROTOCOL_ERROR', 'continuation_on_stream_zero'),
    ('7', 'unknown error codes have no special effect', 'an_unknown_error_code_means_nothing', CLIENT + 'test_a_reset_before_the_head',
     CLIENT + 'test_no_stream_is_opened_behind_goaway'),
    ('8.1', 'nothing comes between HEADERS and CONTINUATION', 'a_long_head_is_a_row_of_frames', CLIENT + 'test_a_long_head_is_a_row_of_frames'),
    ('8.1', 'trailers have no pseudo-fields, or the message is malformed', 'a_pseudo_field_in_trailers', CLIENT + 'test_malformed_trailers'),
    ('8.1', 'HEADERS behind the first ends the stream, or the message is malformed', 'trailers_without_end_of_stream', 'trailers_end_a_request', CLIENT + 'test_malformed_trailers'),
    ('8.1', 'an interim answer does not end the stream', CLIENT + 'test_malformed_heads'),
    ('8.1', 'an answer is not dropped because of RST_STREAM with NO_ERROR behind it', CLIENT + 'test_an_answer_before_the_end_of_the_request'),
    ('8.1.1', 'malformed messages are not forwarded', 'upper case', CLIENT + 'test_malformed_heads'),
    ('8.1.1', 'malformed requests are stream errors PROTOCOL_ERROR', 'upper case', 'a_body_shorter_than_its_length', 'a_body_longer_than_its_length',
     'several_frames_longer_than_their_length', 'content-length without a body'),
    ('8.1.1', 'a malformed message is answered by one stream error', 'the_answer_to_what_is_malformed_ends_with_its_reset', CLIENT + 'test_malformed_trailers'),
    ('8.1.1', 'malformed responses are not accepted', CLIENT + 'test_malformed_heads', CLIENT + 'test_malformed_trailers', CLIENT + 'test_trailers_before_the_promised_end',
     CLIENT + 'test_more_data_than_promised'),
    ('8.2', 'names are sent in lower case', 'names_are_lower_case', CLIENT + 'test_a_request_and_its_answer'),
    ('8.2.1', 'names hold no bytes that are forbidden', 'upper case', 'space in a name', 'colon in a name', 'control byte in a name', 'DEL in a name',
     'byte above 127 in a name', 'a_bad_name_in_trailers'),
    ('8.2.1', 'values hold no NUL, CR, LF, and no white space around them', 'LF in a value', 'CR in a value', 'NUL in a value',
     'white space before a value', 'white space behind a value', 'a_bad_value_in_trailers', CLIENT + 'test_malformed_heads'),
    ('8.2.2', 'messages with connection-specific fields are malformed', 'connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade',
     'connection_fields_in_trailers', CLIENT + 'test_malformed_heads'),
    ('8.2.2', 'TE is "trailers" or malformed', 'te', 'te_of_trailers_is_allowed', CLIENT + 'test_connection_fields_are_not_sent'),
    ('8.2.2', 'who makes HTTP/2 of HTTP/1 removes such fields', 'nothing_of_the_connection_to_the_back_end_is_passed',
     CLIENT + 'test_connection_fields_are_not_sent'),
    ('8.2.2', 'no message with such fields is made', 'no_such_field_of_the_configuration_is_sent', CLIENT + 'test_connection_fields_are_not_sent'),
    ('8.2.3', 'Cookie fields are joined', 'cookies_in_pieces_are_one_cookie'),
    ('8.3', 'no other pseudo-fields are made', unseen('weir makes them of a fixed set, and python3-h2 and python3-hpack see no others')),
    ('8.3', 'undefined and misplaced pseudo-fields are malformed', 'unknown pseudo-field', 'a pseudo-field of responses', 'a_pseudo_field_in_trailers',
     'invalid :scheme', 'LF in :path', CLIENT + 'test_malformed_heads'),
    ('8.3', 'pseudo-fields come first', 'pseudo-field behind others'),
    ('8.3', 'pseudo-fields come once', 'duplicate :method', 'duplicate :path', 'duplicate :scheme', 'duplicate :authority'),
    ('8.3.1', ':authority has no userinfo', 'userinfo in :authority', CLIENT + 'test_authority_has_no_userinfo'),
    ('8.3.1', 'Host does not count where :authority is', 'host that differs', 'host beside an empty :authority'),
    ('8.3.1', 'an intermediary makes :authority of what the request says, or none', CLIENT + 'test_authority_is_what_the_request_says',
     CLIENT + 'test_fields_that_are_set'),
    ('8.3.1', 'an intermediary makes Host of :authority', SERVER + 'test_as_nginx'),
    ('8.3.1', 'no Host is sent that differs from :authority', CLIENT + 'test_fields_that_are_set', CLIENT + 'test_authority_is_what_the_request_says'),
    ('8.3.1', 'Host and :authority are compared without the port of the scheme', 'the_usual_port_makes_no_other_host', 'host with another port',
     'an_equal_host_is_no_contradiction'),
    ('8.3.1', ':path is not empty; OPTIONS of the server is "*"', 'empty :path', 'relative :path', '"*" for GET', 'options_of_the_server'),
    ('8.3.1', ':method, :scheme and :path are there, each with a valid value', 'no :method', 'no :scheme', 'no :path', 'invalid :scheme', 'empty :scheme',
     'space in :method'),
    ('8.3.2', ':status is in every response', SERVER + 'test_as_nginx', CLIENT + 'test_early_hints_to_http2_from_http1', CLIENT + 'test_malformed_heads'),
    ('8.4', 'servers treat PUSH_PROMISE as PROTOCOL_ERROR, and clients send none', 'push_promise_from_a_client', CLIENT + 'test_what_is_reserved_is_sent_as_zero'),
    ('8.4', 'rules of pushing', theirs('servers that push: no_push sees that weir does not')),
    ('8.5', 'CONNECT has :authority and neither :scheme nor :path', 'CONNECT with a path', 'CONNECT with a scheme', 'CONNECT without an authority'),
    ('8.5', 'frames other than DATA and control on a connected stream are errors', TUNNEL + 'test_trailers_on_a_tunnel_are_an_error'),
    ('8.5', 'what becomes of the TCP connection', theirs('proxies for CONNECT: connect_is_refused')),
    ('8.6', 'there is no 101', 'upgrade', CLIENT + 'test_malformed_heads'),
    ('8.7', 'a request that is not idempotent is repeated only where the peer did nothing with it', CLIENT + 'test_a_refused_stream_is_repeated',
     CLIENT + 'test_a_stream_behind_goaway_is_repeated', CLIENT + 'test_what_may_have_been_done_is_not_repeated'),
    ('8.7', 'a stream is called unprocessed only if it is', SERVER + 'test_the_last_stream_of_goaway_never_grows',
     'more_streams_than_allowed_are_refused'),
    ('9.1.1', 'a shared connection has a certificate that each of its requests would take', CLIENT + 'test_names_do_not_share_a_connection'),
    ('9.2', 'TLS 1.2 or higher', TLS + 'test_no_http2_below_tls_1_2', CLIENT + 'test_over_tls_it_is_negotiated'),
    ('9.2', 'SNI is supported, and sent by clients', TLS + 'test_names_choose_the_server', SSL + 'test_server_name'),
    ('9.2.1', 'no TLS compression', TLS + 'test_over_tls'),
    ('9.2.1', 'no renegotiation', TLS + 'test_renegotiation_is_refused'),
    ('9.2.1', 'ephemeral keys of 2048 (DHE) and 224 bits (ECDHE) are supported', unseen("OpenSSL's, at its security level 2")),
    ('9.2.1', 'clients take DHE of 4096 bits', unseen("OpenSSL's")),
    ('9.2.2', 'INADEQUATE_SECURITY is not sent for a cipher that is not prohibited', 'the_server_sends_settings_first', TLS + 'test_the_mandatory_cipher'),
    ('9.2.2', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 with P-256 is supported', TLS + 'test_the_mandatory_cipher'),
    ('9.2.3', 'no certificate is asked for after a TLS 1.3 handshake', unseen('weir asks in handshakes only')),
    ('9.2.3', 'a certificate asked for after a TLS 1.3 handshake is a connection error', unseen('weir does not offer post_handshake_auth, so that OpenSSL ends the connection')),
    ('10.3', 'fields that HTTP/1 could misread are malformed', 'LF in a value', 'colon in a name', 'space in a name', 'LF in :path',
     'space in :method'),
    ('10.3', 'fields of a hop are removed', 'nothing_of_the_connection_to_the_back_end_is_passed', CLIENT + 'test_connection_fields_are_not_sent', SERVER + 'test_as_nginx'),
    ('10.4', 'what is pushed and by whom', theirs('servers that push, and clients that let them')),
    ('10.5.1', 'blocks that are too large are decoded, or the connection closed', 'the_table_stays_in_step_over_a_head_that_is_too_large',
     SERVER + 'test_a_block_that_grows_without_measure'),
    ('10.6', 'TLS does not compress', TLS + 'test_over_tls'),
    ('10.6', 'secrets and what an attacker chooses do not share a compression', unseen('Authorization and short Cookies are never indexed: src/wire/hpack_test.c')),
]


def cases():
    """Names of the cases that walk the RFC."""
    found = set()
    for file in ('h2_rfc9113_test.py', 'h2_rfc9113_messages_test.py'):
        with open(os.path.join(HERE, file), encoding='utf-8') as f:
            text = f.read()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and any(isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id == 'case' for d in node.decorator_list):
                found.add(node.name)
        found |= set(re.findall(r"^        \('([^']+)', '[\d.]+', lambda", text, re.M))
    return found


def is_test(place):
    file, name = place.split('::')
    with open(os.path.join(ROOT, file), encoding='utf-8') as f:
        return re.search(rf'^(def |TEST\(){name}\b', f.read(), re.M) is not None


@pytest.mark.parametrize('section, what, proofs', [(m[0], m[1], m[2:]) for m in MUSTS], ids=[f'{m[0]} {m[1]}' for m in MUSTS])
def test_each_must_has_a_proof(section, what, proofs):
    known = cases()
    missing = [p for p in proofs if not isinstance(p, (unseen, theirs)) and not (is_test(p) if '::' in p else p in known)]
    assert proofs and not missing, f'{section}: {what}'


def test_each_case_is_named():
    named = {p for m in MUSTS for p in m[2:]}
    more = {'connect_is_refused', 'the_preface_may_come_in_pieces', 'a_size_update_behind_fields', 'headers_behind_the_clients_own_reset', 'a_stream_that_depends_on_itself',
            'priority_for_a_stream_that_depends_on_itself', 'padding_is_taken_out', 'headers_with_padding_and_priority',
            'a_goaway_of_the_client_lets_streams_end'}    # no MUST of RFC 9113, but of HPACK, 7540, or plain use
    assert not cases() - named - more
