"""Where requests go."""

from __future__ import annotations

from django.urls import path

from examples.django_orders import views

urlpatterns = [
    path("livez", views.livez),
    path("orders/<slug:order_id>", views.place),
    path("orders/<slug:order_id>/ship", views.ship),
    path("orders", views.export),
    path("quotes/<slug:order_id>", views.quote),
    path("feed", views.feed),
]
