"""A Django project in one file."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpResponse, HttpResponseForbidden
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from plain import seen

HERE = os.path.dirname(os.path.abspath(__file__))
settings.configure(
    DEBUG=False, SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], STATIC_URL="/files/",
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware", "django.middleware.clickjacking.XFrameOptionsMiddleware"])


@csrf_exempt
def echo(request, rest=""):
    body = request.body
    texts = {name: value for name, value in request.META.items() if isinstance(value, str)}
    answer = HttpResponse(seen(texts, body), content_type="application/json")
    answer["X-App"], answer["X-Path"] = "django", ascii(rest)
    return answer


def slashed(request):
    return HttpResponse("slashed")


def denied(request):
    return HttpResponseForbidden("denied")


def gone(request):
    raise Http404


urlpatterns = [path("", echo), re_path(r"^echo/(?P<rest>.*)$", echo), path("slashed/", slashed), path("denied", denied), path("gone", gone)]
application = get_wsgi_application()
