"""The report over the sales of all tenants: figures, what may be published of them, and a page that shows them."""
