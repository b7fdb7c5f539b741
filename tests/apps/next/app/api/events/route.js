// Server-sent events, one each 100 ms, with the time when it was made.
export const dynamic = 'force-dynamic';

export async function GET() {
  const text = new TextEncoder();
  const stream = new ReadableStream({
    async start(to) {
      for (let i = 0; i < 10; i++) {
        to.enqueue(text.encode(`data: ${i} ${Date.now()}\n\n`));
        await new Promise((done) => setTimeout(done, 100));
      }
      to.close();
    },
  });
  return new Response(stream, { headers: { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' } });
}
