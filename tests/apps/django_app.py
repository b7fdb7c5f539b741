"""A Django application that tells what it was asked, for Gunicorn: one file, no database."""
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

settings.configure(SECRET_KEY='tests', ALLOWED_HOSTS=['*'], ROOT_URLCONF=__name__, USE_X_FORWARDED_HOST=False,
                   SECURE_PROXY_SSL_HEADER=('HTTP_X_FORWARDED_PROTO', 'https'), DATA_UPLOAD_MAX_MEMORY_SIZE=None,
                   MIDDLEWARE=['django.middleware.common.CommonMiddleware'])


@csrf_exempt
def tell(request, rest=''):
    headers = sorted((k, v) for k, v in request.headers.items())
    return JsonResponse({'method': request.method, 'path': request.path, 'url': request.get_full_path(), 'host': request.get_host(),
                         'address': request.META['REMOTE_ADDR'], 'forwarded': request.META.get('HTTP_X_FORWARDED_FOR'),
                         'secure': request.is_secure(), 'length': len(request.body), 'form': request.POST.dict(), 'headers': headers})


urlpatterns = [
    re_path('^go$', lambda request: HttpResponseRedirect(request.build_absolute_uri('/elsewhere'))),
    re_path('^stream$', lambda request: StreamingHttpResponse((f'line {i}\n' for i in range(5)), content_type='text/plain')),
    re_path('^fail$', lambda request: JsonResponse({'error': 'on purpose'}, status=500)),
    re_path('^(?P<rest>.*)$', tell),
]
application = get_wsgi_application()
