import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.annotation.OptionalParam;
import ca.uhn.fhir.rest.annotation.Search;
import ca.uhn.fhir.rest.annotation.Sort;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.api.SortSpec;
import ca.uhn.fhir.rest.api.server.RequestDetails;
import ca.uhn.fhir.rest.param.DateRangeParam;
import ca.uhn.fhir.rest.server.FifoMemoryPagingProvider;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.HashMapResourceProvider;
import java.util.Comparator;
import java.util.Date;
import java.util.List;
import java.util.stream.Collectors;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.hl7.fhir.r4.model.*;

/**
 * HAPI's plain server for R4: everything in memory, up in seconds; what it lacks for us, `meta.lastUpdated` and the search by
 * it, is added here. Started by `java -cp 'libs/*' PlainServer.java PORT`; it says on standard output when it listens.
 */
public class PlainServer {
  public static class Changed<T extends Resource> extends HashMapResourceProvider<T> {
    public Changed(FhirContext context, Class<T> type) { super(context, type); }

    @Override
    public MethodOutcome create(T resource, RequestDetails request) {
      resource.getMeta().setLastUpdated(new Date());
      return super.create(resource, request);
    }

    @Override
    public MethodOutcome update(T resource, String conditional, RequestDetails request) {
      resource.getMeta().setLastUpdated(new Date());
      return super.update(resource, conditional, request);
    }

    @Search
    public List<T> searchChanged(@OptionalParam(name = "_lastUpdated") DateRangeParam range, @Sort SortSpec sort) {
      Date from = range == null ? null : range.getLowerBoundAsInstant();
      return getStoredResources().stream()
          .filter(one -> from == null || !one.getMeta().getLastUpdated().before(from))
          .sorted(Comparator.comparing(one -> one.getMeta().getLastUpdated()))
          .collect(Collectors.toList());
    }
  }

  public static void main(String[] arguments) throws Exception {
    FhirContext context = FhirContext.forR4Cached();
    RestfulServer fhir = new RestfulServer(context);
    fhir.registerProviders(
        new Changed<>(context, Patient.class), new Changed<>(context, Encounter.class),
        new Changed<>(context, Observation.class), new Changed<>(context, Condition.class),
        new Changed<>(context, Flag.class), new Changed<>(context, ServiceRequest.class));
    FifoMemoryPagingProvider paging = new FifoMemoryPagingProvider(10);
    paging.setDefaultPageSize(10);
    paging.setMaximumPageSize(200);
    fhir.setPagingProvider(paging);
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    connector.setPort(Integer.parseInt(arguments[0]));
    server.addConnector(connector);
    ServletContextHandler handler = new ServletContextHandler();
    handler.addServlet(new ServletHolder(fhir), "/fhir/*");
    server.setHandler(handler);
    server.start();
    System.out.println("{\"event\":\"listening\",\"port\":" + connector.getLocalPort() + "}");
    System.out.flush();
    server.join();
  }
}
