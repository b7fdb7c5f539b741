<?php
// A PHP application that tells what it was asked: the guide's index.php.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (str_ends_with($path, '/fail')) {
    http_response_code(500);
    error_log('on purpose');
    exit('failed');
}
if (str_ends_with($path, '/go')) {
    header('Location: /elsewhere');
    exit;
}
if (str_ends_with($path, '/stream')) {
    header('Content-Type: text/event-stream');
    header('X-Accel-Buffering: no');
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    for ($i = 0; $i < 3; $i++) {
        echo "data: $i\n\n";
        flush();
        usleep(150000);
    }
    exit;
}
if (str_ends_with($path, '/big')) {
    header('Content-Type: application/octet-stream');
    echo str_repeat('x', 3 << 20);
    exit;
}
$told = array_filter($_SERVER, fn($name) => !in_array($name, ['REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'REMOTE_PORT', 'SERVER_SOFTWARE',
    'USER', 'HOME']), ARRAY_FILTER_USE_KEY);
ksort($told);
header('Content-Type: application/json');
setcookie('seen', '1');
$body = file_get_contents('php://input');
echo json_encode(['server' => $told, 'get' => $_GET, 'post' => $_POST, 'cookies' => $_COOKIE, 'length' => strlen($body), 'md5' => md5($body)]);
