// What the application was asked.
export const dynamic = 'force-dynamic';

async function tell(request) {
  const body = await request.text();
  const url = new URL(request.url);
  const cookies = request.cookies.getAll().map((c) => [c.name, c.value]);
  const answer = Response.json({
    method: request.method, path: url.pathname, query: url.search, length: body.length,
    headers: [...request.headers].sort(), cookies,
  });
  answer.headers.append('Set-Cookie', 'seen=1; Path=/');
  return answer;
}

export { tell as GET, tell as POST, tell as PUT, tell as DELETE };
