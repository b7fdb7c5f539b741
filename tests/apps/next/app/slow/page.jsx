// A part that takes its time: the rest is sent before it.
import { Suspense } from 'react';

export const dynamic = 'force-dynamic';

async function Late() {
  await new Promise((done) => setTimeout(done, 700));
  return <p>late part {Date.now()}</p>;
}

export default function Page() {
  return <main><p>early part</p><Suspense fallback={<p>waiting</p>}><Late /></Suspense></main>;
}
