"""A FastAPI application that tells what it was asked, for Gunicorn with uvicorn's workers."""
import asyncio
import time

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

app = FastAPI()


@app.get('/go')
async def go():
    return RedirectResponse('/elsewhere', status_code=302)


@app.get('/stream')
async def stream():
    async def lines():
        for i in range(5):
            yield f'line {i}\n'
    return StreamingResponse(lines(), media_type='text/plain')


@app.get('/stream/events')
async def events():
    async def made():
        for i in range(10):
            yield f'data: {i} {int(time.time() * 1000)}\n\n'
            await asyncio.sleep(0.1)
    return StreamingResponse(made(), media_type='text/event-stream')


@app.get('/fail')
async def fail():
    return JSONResponse({'error': 'on purpose'}, status_code=500)


@app.api_route('/{rest:path}', methods=['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
async def tell(rest: str, request: Request):
    body = await request.body()
    return {'method': request.method, 'path': request.url.path, 'query': request.url.query, 'host': request.headers.get('host'),
            'address': request.client.host if request.client else None, 'scheme': request.url.scheme, 'length': len(body),
            'headers': sorted((k, v) for k, v in request.headers.items())}
