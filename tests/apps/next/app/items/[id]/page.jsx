// Made for each request, of what it says.
import { headers } from 'next/headers';

export const dynamic = 'force-dynamic';

export default function Page({ params, searchParams }) {
  return <pre>{JSON.stringify({ id: params.id, query: searchParams, host: headers().get('host') })}</pre>;
}
