"""Django with Channels: views with and without async, uploads, consumers with a layer."""

import asyncio
import os
import sys

import django
from django.conf import settings

HERE = os.path.dirname(os.path.abspath(__file__))
settings.configure(
    SECRET_KEY="key of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DEBUG=False,
    INSTALLED_APPS=["channels"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    DATA_UPLOAD_MAX_MEMORY_SIZE=1 << 20,
    USE_TZ=True,
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def index(request):
    return HttpResponse("index", content_type="text/plain")


async def waits(request):
    await asyncio.sleep(0.001)
    return JsonResponse({"method": request.method, "path": request.path, "full": request.get_full_path(), "secure": request.is_secure(), "q": request.GET.get("q")})


def meta(request):
    return JsonResponse({k: request.META.get(k) for k in ("REMOTE_ADDR", "HTTP_X_A", "CONTENT_TYPE", "QUERY_STRING", "HTTP_HOST", "SCRIPT_NAME", "PATH_INFO")})


def upload(request):
    file = request.FILES["f"]
    return JsonResponse({"name": file.name, "size": file.size, "note": request.POST["note"]})


def stream(request):
    return StreamingHttpResponse((b"row %d\n" % n for n in range(3)), content_type="text/plain")


def file(request):
    return FileResponse(open(os.path.join(HERE, "file.txt"), "rb"), content_type="text/plain")


def cookie(request):
    response = HttpResponse("cookie")
    response.set_cookie("a", "1")
    response["X-A"] = "b"
    return response


def broken(request):
    raise RuntimeError("broken")


urlpatterns = [path("", index), path("waits/", waits), path("meta", meta), path("upload", upload), path("stream", stream),
               path("file", file), path("cookie", cookie), path("broken", broken)]


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept("json" if "json" in self.scope["subprotocols"] else None)

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content):
        await self.channel_layer.group_send(self.room, {"type": "said", "text": content["text"]})

    async def said(self, event):
        await self.send_json({"text": event["text"]})


class Sync(WebsocketConsumer):
    """Its methods run in threads."""

    def connect(self):
        self.accept()

    def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            self.close(4002)
        else:
            self.send(text_data=text_data.upper())


class Refuses(WebsocketConsumer):
    def connect(self):
        self.close()


sys.modules.setdefault("django_app", sys.modules[__name__])
app = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": URLRouter([path("chat/<str:room>/", Chat.as_asgi()), path("sync/", Sync.as_asgi()), path("refuses/", Refuses.as_asgi())]),
})
wsgi = get_wsgi_application()  # of the same views
