"""All routes, in one list: the doors, the rights, the documents and the tests are made from it."""

from liveserver.web.handlers import (
    api,
    coupons,
    hooks,
    meta,
    moderation,
    orders,
    pages,
    people,
    products,
    rehearsals,
    rooms,
    sales,
    sessions,
    shows,
    streams,
    video,
    waitlists,
    webhooks,
)
from liveserver.web.route import Route

ROUTES: tuple[Route, ...] = (
    *sessions.ROUTES,
    *people.ROUTES,
    *rooms.ROUTES,
    *rehearsals.ROUTES,
    *moderation.ROUTES,
    *shows.ROUTES,
    *products.ROUTES,
    *sales.ROUTES,
    *waitlists.ROUTES,
    *orders.ROUTES,
    *coupons.ROUTES,
    *hooks.ROUTES,
    *webhooks.ROUTES,
    *video.ROUTES,
    *api.ROUTES,
    *streams.ROUTES,
    *meta.ROUTES,
    *pages.ROUTES,
)
