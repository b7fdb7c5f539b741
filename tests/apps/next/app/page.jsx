// Made when the application is built.
import Link from 'next/link';

export default function Page() {
  return <main><h1>static page</h1><Link href="/items/7">seven</Link></main>;
}
