"""How messages reach workers and listeners: by their poll connections, or pushed to them."""

from ._allotment import NOBODY as NOBODY, Allotment as Allotment, Places as Places, Wanted as Wanted
from ._choice import Seat as Seat
from ._delivery import Delivery as Delivery, open_delivery as open_delivery
from ._parcels import Peer as Peer
from ._poll import Connection as Connection
from ._push import Pusher as Pusher, PushSettings as PushSettings
from ._router import Router as Router
